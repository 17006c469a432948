-- SPDX-License-Identifier: Apache-2.0
-- Auditors' questions to a bundle, for DuckDB. What stands above the first question makes the views;
-- times are shown in Vietnam's zone. docs/questions.md shows each with its output.

CREATE VIEW log_end AS SELECT max(recorded_at) AS at, max(position) AS position FROM event;

CREATE VIEW dossier AS
SELECT dossier,
    max(data->>'office') FILTER (type IN ('dossier.registered', 'dossier.imported')) AS office,
    max(data->>'machine') FILTER (type = 'dossier.registered') AS machine,
    max(data->>'procedure') FILTER (type IN ('dossier.registered', 'dossier.imported')) AS procedure,
    max(data->>'code') FILTER (type IN ('dossier.accepted', 'dossier.imported', 'dossier.supplement_received')) AS code,
    min(occurred_at) FILTER (type = 'kiosk.dossier_deposited') AS deposited_at,
    min(recorded_at) FILTER (type = 'dossier.registered') AS registered_at,
    arg_max((data->>'due_at')::TIMESTAMPTZ, position) FILTER (
        type IN ('dossier.accepted', 'dossier.imported', 'dossier.rescheduled',
                 'dossier.supplement_received', 'dossier.fee_cleared')) AS due_at,
    min(occurred_at) FILTER (type = 'dossier.completed') AS completed_at,
    max(occurred_at) FILTER (type = 'dossier.returned') AS returned_at,
    min(occurred_at) FILTER (type IN ('dossier.refused', 'dossier.withdrawn', 'dossier.stopped')) AS ended_at
FROM event WHERE dossier IS NOT NULL AND type != 'access.personal_read' GROUP BY dossier;

-- name: late
-- vi: Hồ sơ nào trễ hẹn, và trễ bao lâu?
-- en: Which dossiers were late, and by how much?
SELECT code, procedure, strftime(due_at, '%d/%m %H:%M') AS due,
    coalesce(strftime(completed_at, '%d/%m %H:%M'), 'not yet') AS completed,
    round(date_diff('minute', due_at, coalesce(completed_at, log_end.at)) / 60, 1) AS hours_late
FROM dossier, log_end
WHERE ended_at IS NULL AND due_at < coalesce(completed_at, log_end.at)
ORDER BY hours_late DESC, code;

-- name: on-time
-- vi: Mỗi thủ tục có bao nhiêu hồ sơ xong đúng hẹn?
-- en: How many dossiers of each procedure were finished in time?
SELECT procedure, count(*) AS completed, count(*) FILTER (completed_at <= due_at) AS in_time,
    round(100 * count(*) FILTER (completed_at <= due_at) / count(*), 1) AS percent
FROM dossier WHERE completed_at IS NOT NULL GROUP BY procedure ORDER BY percent, procedure;

-- name: cash-and-receipts
-- vi: Tiền mặt trong máy mỗi ngày có khớp với biên lai không?
-- en: Does the cash in the machines agree with the receipts of each day?
WITH cash AS (
    SELECT strftime(occurred_at, '%Y-%m-%d') AS day, sum((data->>'denomination_vnd')::BIGINT) AS vnd
    FROM event WHERE type IN ('kiosk.cash_note_credited', 'kiosk.cash_note_unplaced') GROUP BY day),
receipts AS (
    SELECT strftime(settled.occurred_at, '%Y-%m-%d') AS day,
        sum((receipt.data->>'amount_vnd')::BIGINT) AS vnd,
        sum((settled.data->>'overpaid_vnd')::BIGINT) AS overpaid
    FROM event AS receipt
    JOIN event AS settled ON settled.event_id = (receipt.data->>'settled_event')
    WHERE receipt.type = 'receipt.issued' AND (settled.data->>'method') = 'cash' GROUP BY day)
SELECT day, coalesce(cash.vnd, 0) AS cash_vnd, coalesce(receipts.vnd, 0) AS receipts_vnd,
    coalesce(overpaid, 0) AS overpaid_vnd,
    coalesce(cash.vnd, 0) - coalesce(receipts.vnd, 0) - coalesce(overpaid, 0) AS unexplained_vnd
FROM cash FULL JOIN receipts USING (day) ORDER BY day;

-- name: receipt-gaps
-- vi: Số biên lai nào bị thiếu trong dãy?
-- en: Which receipt numbers are missing from the row?
WITH issued AS (
    SELECT data->>'symbol' AS symbol, (data->>'year')::INT AS year, (data->>'number')::BIGINT AS number
    FROM event WHERE type = 'receipt.issued'),
stepped AS (
    SELECT *, lag(number, 1, 0) OVER (PARTITION BY symbol, year ORDER BY number) AS before FROM issued)
SELECT symbol, year, before + 1 AS first_missing, number - 1 AS last_missing
FROM stepped WHERE number > before + 1 ORDER BY symbol, year, first_missing;

-- name: without-receipt
-- vi: Khoản thu nào chưa có biên lai?
-- en: Which payments have no receipt?
SELECT dossier, strftime(occurred_at, '%d/%m %H:%M') AS settled, data->>'method' AS method,
    (data->>'amount_vnd')::BIGINT AS amount_vnd
FROM event WHERE type = 'payment.settled' AND (data->>'amount_vnd')::BIGINT > 0
    AND event_id NOT IN (SELECT data->>'settled_event' FROM event WHERE type = 'receipt.issued')
ORDER BY position;

-- name: read-after-hours
-- vi: Ai xem dữ liệu cá nhân ngoài giờ hành chính (thứ Hai–thứ Sáu 7–17 giờ, trừ ngày nghỉ)?
-- en: Who read personal data outside office hours (Monday to Friday 7 to 17, holidays excepted)?
WITH days AS (
    SELECT data->>'day' AS day, arg_max(CASE type WHEN 'calendar.day_set' THEN data->>'kind' END, position) AS kind
    FROM event WHERE type IN ('calendar.day_set', 'calendar.day_cleared') GROUP BY data->>'day')
SELECT data->>'reader' AS reader, strftime(occurred_at, '%Y-%m-%d %H:%M') AS at,
    data->>'field' AS field, data->>'purpose' AS purpose, data->>'dossier' AS of_dossier
FROM event LEFT JOIN days ON days.day = strftime(occurred_at, '%Y-%m-%d')
WHERE type = 'access.personal_read' AND (hour(occurred_at) NOT BETWEEN 7 AND 16
    OR kind = 'holiday' OR (isodow(occurred_at) > 5 AND kind IS NULL))
ORDER BY position;

-- name: notes
-- vi: Mỗi máy đã nhận bao nhiêu tờ tiền, sổ thu và các phiên nộp có khớp không?
-- en: How many notes did each machine stack, and do the books and the sessions agree?
WITH stacked AS (
    SELECT split_part(stream, '-', 2) AS machine, count(*) AS notes,
        sum((data->>'denomination_vnd')::BIGINT) AS stacked_vnd
    FROM event WHERE type IN ('kiosk.cash_note_credited', 'kiosk.cash_note_unplaced') GROUP BY machine),
sessions AS (
    SELECT split_part(stream, '-', 2) AS machine, sum((data->>'total_vnd')::BIGINT) AS sessions_vnd
    FROM event WHERE type = 'kiosk.cash_closed' GROUP BY machine),
books AS (
    SELECT data->>'machine' AS machine, sum((data->>'denomination_vnd')::BIGINT) AS booked_vnd
    FROM event WHERE type IN ('payment.cash_credited', 'payment.cash_unplaced') GROUP BY data->>'machine'),
wrong AS (
    SELECT split_part(stream, '-', 2) AS machine, count(*) AS discrepancies
    FROM event WHERE type = 'kiosk.cash_discrepancy' GROUP BY machine)
SELECT machine, notes, stacked_vnd, coalesce(sessions_vnd, 0) AS sessions_vnd,
    coalesce(booked_vnd, 0) AS booked_vnd, coalesce(discrepancies, 0) AS discrepancies
FROM stacked LEFT JOIN sessions USING (machine) LEFT JOIN books USING (machine)
LEFT JOIN wrong USING (machine) ORDER BY machine;

-- name: sms-unknown
-- vi: Tin nhắn nào chưa rõ đã gửi được hay chưa?
-- en: Of which messages does nobody know whether they went out?
SELECT asked.data->>'template' AS template, asked.data->>'dossier' AS of_dossier, last.data->>'owner' AS owner,
    last.data->>'reason' AS reason, strftime(last.occurred_at, '%d/%m %H:%M') AS since
FROM (SELECT stream, max(position) AS position FROM event
      WHERE stream LIKE 'notification-%' GROUP BY stream) AS newest
JOIN event AS last USING (stream, position)
JOIN event AS asked ON asked.stream = last.stream AND asked.version = 1
WHERE last.type = 'notification.outcome_unknown' ORDER BY last.position;

-- name: cases
-- vi: Những hồ sơ, kết quả nào chưa rõ đang ở đâu, vụ việc nào quá hạn?
-- en: Which pouches and results is nobody sure of, and which cases are overdue?
SELECT data->>'kind' AS kind, data->>'office' AS office, data->>'because' AS because,
    data->>'place' AS last_place, strftime(((data->>'due_at')::TIMESTAMPTZ), '%d/%m %H:%M') AS due,
    ((data->>'due_at')::TIMESTAMPTZ) < log_end.at AS overdue
FROM event, log_end WHERE type = 'office.custody_case_opened' AND (data->>'case') NOT IN (
    SELECT data->>'case' FROM event WHERE type = 'office.custody_case_closed')
ORDER BY event.position;

-- name: pouches-waiting
-- vi: Túi hồ sơ nào nằm trong máy quá 24 giờ mà chưa được lấy ra?
-- en: Which pouches lay in a machine for more than 24 hours?
WITH emptied AS (
    SELECT unnest(from_json(data->'pouches', '["VARCHAR"]')) AS pouch, occurred_at
    FROM event WHERE type = 'kiosk.bin_emptied')
SELECT laid.data->>'pouch' AS pouch, split_part(laid.stream, '-', 2) AS machine,
    strftime(laid.occurred_at, '%d/%m %H:%M') AS deposited,
    coalesce(strftime(emptied.occurred_at, '%d/%m %H:%M'), 'still there') AS emptied,
    date_diff('hour', laid.occurred_at, coalesce(emptied.occurred_at, log_end.at)) AS hours
FROM event AS laid CROSS JOIN log_end LEFT JOIN emptied ON emptied.pouch = (laid.data->>'pouch')
WHERE laid.type = 'kiosk.dossier_deposited'
    AND coalesce(emptied.occurred_at, log_end.at) > laid.occurred_at + INTERVAL 24 HOURS
ORDER BY hours DESC, pouch;

-- name: refunds
-- vi: Khoản hoàn nào đã đề nghị, ai duyệt, ai chi; có ai tự duyệt không?
-- en: Which refunds were asked for, who approved and paid them, and did anybody approve his own?
SELECT data->>'refund' AS refund,
    max((data->>'amount_vnd')::BIGINT) FILTER (type = 'payment.refund_requested') AS amount_vnd,
    max(data->>'by') FILTER (type = 'payment.refund_requested') AS requested_by,
    max(data->>'by') FILTER (type = 'payment.refund_approved') AS approved_by,
    max(data->>'reference') FILTER (type = 'payment.refund_paid') AS paid,
    coalesce(requested_by = approved_by, false) AS one_person
FROM event WHERE type LIKE 'payment.refund_%' GROUP BY data->>'refund' ORDER BY min(position);

-- name: owed
-- vi: Hồ sơ nào đã kết thúc mà tiền phải hoàn chưa hoàn?
-- en: To whom is money owed of dossiers that ended, and was not paid back?
SELECT dossier, data->>'because' AS because, strftime(occurred_at, '%d/%m %H:%M') AS since,
    (data->>'owed_vnd')::BIGINT AS owed_vnd
FROM event WHERE type = 'payment.closed' AND (data->>'owed_vnd')::BIGINT > 0
    AND stream NOT IN (SELECT stream FROM event WHERE type = 'payment.refund_paid')
ORDER BY position;

-- name: fee-rules
-- vi: Ai đã thay đổi mức phí, lệ phí, từ bao nhiêu thành bao nhiêu?
-- en: Who changed fees, from what to what?
WITH published AS (
    SELECT *, list_sum(from_json(data->'$.fees[*].amount_vnd', '["BIGINT"]')) AS fees_vnd FROM event
    WHERE type = 'procedure.published'),
stepped AS (
    SELECT *, lag(fees_vnd) OVER (PARTITION BY stream ORDER BY version) AS before_vnd FROM published)
SELECT data->>'code' AS procedure, version, actor, strftime(recorded_at, '%Y-%m-%d %H:%M') AS published,
    data->>'valid_from' AS valid_from, before_vnd, fees_vnd
FROM stepped WHERE fees_vnd != before_vnd ORDER BY position;

-- name: to-the-centre
-- vi: Từ lúc nộp tại máy đến lúc trung tâm ghi nhận mất bao lâu?
-- en: How long does it take from the deposit until the centre has it?
SELECT machine, count(*) AS deposits,
    round(quantile_cont(date_diff('millisecond', deposited_at, registered_at), 0.5) / 1000, 1) AS median_s,
    round(max(date_diff('millisecond', deposited_at, registered_at)) / 1000, 1) AS longest_s
FROM dossier WHERE deposited_at IS NOT NULL AND registered_at IS NOT NULL
GROUP BY machine ORDER BY machine;

-- name: supplements
-- vi: Mỗi thủ tục phải bổ sung bao nhiêu lần, người dân mất mấy ngày?
-- en: How often did each procedure need further papers, and how many days did that take?
WITH asked AS (
    SELECT dossier, occurred_at, lead(occurred_at) OVER (PARTITION BY stream ORDER BY version) AS next_at,
        lead(type) OVER (PARTITION BY stream ORDER BY version) AS next_type, type
    FROM event WHERE type IN ('dossier.supplement_requested', 'dossier.supplement_received'))
SELECT procedure, count(*) AS requests, count(DISTINCT asked.dossier) AS dossiers,
    count(*) FILTER (next_type = 'dossier.supplement_received') AS answered,
    round(avg(date_diff('hour', occurred_at, next_at) / 24)
        FILTER (next_type = 'dossier.supplement_received'), 1) AS days
FROM asked JOIN dossier USING (dossier) WHERE type = 'dossier.supplement_requested'
GROUP BY procedure ORDER BY requests DESC, procedure;

-- name: callbacks
-- vi: Giao dịch nào ngân hàng báo nhiều lần với nội dung khác nhau, ai đã xử lý?
-- en: Which bank references came again with other facts, and who settled them?
SELECT said.data->>'reference' AS reference, (first.data->>'amount_vnd')::BIGINT AS first_vnd,
    (said.data->>'amount_vnd')::BIGINT AS then_vnd, strftime(said.occurred_at, '%d/%m %H:%M') AS at,
    coalesce(closed.data->>'by', 'open') AS settled_by
FROM event AS said
JOIN event AS first ON first.stream = said.stream AND first.type = 'payment.bank_credit_received'
LEFT JOIN event AS closed ON closed.stream = said.stream
    AND closed.type = 'payment.bank_callback_conflict_closed' AND closed.position > said.position
WHERE said.type = 'payment.bank_callback_conflict' ORDER BY said.position;

-- name: overpaid
-- vi: Ai đã nộp thừa, bằng hình thức nào?
-- en: Where was more paid than asked, and how?
SELECT dossier, data->>'method' AS method, (data->>'amount_vnd')::BIGINT AS asked_vnd,
    (data->>'paid_vnd')::BIGINT AS paid_vnd, (data->>'overpaid_vnd')::BIGINT AS overpaid_vnd
FROM event WHERE type = 'payment.settled' AND (data->>'overpaid_vnd')::BIGINT > 0 ORDER BY position;

-- name: offline
-- vi: Máy nào mất liên lạc (sự kiện đến trung tâm muộn hơn 10 phút), lâu nhất bao nhiêu phút?
-- en: Which machines were cut off (events reached the centre more than 10 minutes late), and how long?
SELECT split_part(stream, '-', 2) AS machine, strftime(recorded_at, '%Y-%m-%d') AS day, count(*) AS late_events,
    max(date_diff('minute', occurred_at, recorded_at)) AS longest_min
FROM event WHERE type LIKE 'kiosk.%' AND recorded_at > occurred_at + INTERVAL 10 MINUTES
GROUP BY machine, day ORDER BY day, machine;

-- name: uncollected
-- vi: Kết quả nào nằm trong ngăn quá 3 ngày chưa có người nhận?
-- en: Which results have lain in a cell for more than 3 days?
SELECT code, ready.data->>'machine' AS machine, (ready.data->>'cell')::INT AS cell,
    strftime(ready.occurred_at, '%d/%m %H:%M') AS since,
    date_diff('day', ready.occurred_at, log_end.at) AS days
FROM event AS ready JOIN dossier USING (dossier) CROSS JOIN log_end
WHERE ready.type = 'dossier.ready' AND ready.occurred_at + INTERVAL 3 DAYS < log_end.at
    AND NOT EXISTS (SELECT 1 FROM event AS gone WHERE gone.stream = ready.stream
        AND gone.version > ready.version AND gone.type IN ('dossier.returned', 'dossier.recalled'))
ORDER BY ready.position;

-- name: erased
-- vi: Dữ liệu cá nhân của ai đã bị xóa, theo căn cứ nào, sau đó còn ai xem không?
-- en: Whose personal data were erased, why, and did anybody read them afterwards?
SELECT data->>'dossier' AS of_dossier, data->>'basis' AS basis, data->>'reference' AS reference,
    data->>'official' AS official, strftime(occurred_at, '%Y-%m-%d %H:%M') AS at,
    (SELECT count(*) FROM event AS reading WHERE reading.type = 'access.personal_read'
        AND (reading.data->>'dossier') = (erased.data->>'dossier')
        AND reading.position > erased.position) AS read_later
FROM event AS erased WHERE type = 'subject.erased' ORDER BY position;

-- name: wrong-codes
-- vi: Ai bị máy từ chối mã nhận kết quả, bao nhiêu lần?
-- en: At which results was a code refused, and how often?
SELECT data->>'dossier' AS of_dossier, split_part(stream, '-', 2) AS machine, count(*) AS refused,
    min((data->>'tries_left')::INT) AS tries_left, list(DISTINCT data->>'reason' ORDER BY data->>'reason') AS reasons
FROM event WHERE type = 'kiosk.release_refused' GROUP BY data->>'dossier', machine
ORDER BY refused DESC, of_dossier;

-- name: one-official
-- vi: Thùng nào chỉ có một người lấy hồ sơ (quy định phải hai người)?
-- en: Which bins were emptied by one person, though it takes two?
SELECT split_part(stream, '-', 2) AS machine, strftime(occurred_at, '%d/%m %H:%M') AS at,
    data->>'staff' AS staff, data->>'seal' AS seal, json_array_length(data->'pouches') AS pouches
FROM event WHERE type = 'kiosk.bin_emptied' AND (data->>'staff') = (data->>'second_staff')
ORDER BY position;

-- name: disputed
-- vi: Trạng thái nào bị phần mềm một cửa từ chối mà chưa xử lý?
-- en: Which statuses did the one-stop system refuse, and nobody settled?
SELECT data->>'code' AS code, (data->>'status')::INT AS status, data->>'error' AS error,
    strftime(((data->>'due_at')::TIMESTAMPTZ), '%d/%m %H:%M') AS due
FROM event WHERE type = 'dossier.report_disputed' AND (data->>'event') NOT IN (
    SELECT data->>'event' FROM event WHERE type = 'dossier.report_resolved')
ORDER BY position;
