# SPDX-License-Identifier: Apache-2.0
"""What every event tells, in Vietnamese; the English words are the docstring of its schema.

Keys are wire names. A test holds the table to the contracts: nothing is missing or left over.
"""

from collections.abc import Mapping
from typing import Final

_PEOPLE_AND_CATALOGUE: Final = {
    "access.personal_read.v1": "Có người sắp xem một dữ liệu cá nhân; ghi lại trước khi mở.",
    "calendar.day_cleared.v1": "`calendar-VN`: ngày này trở lại như ngày thường.",
    "calendar.day_set.v1": "`calendar-VN`: ngày nghỉ, hoặc ngày cuối tuần phải làm việc.",
    "office.code_assigned.v1":
        "`office-<id>.codes.<yymmdd>`: cấp một mã; phiên bản luồng là số thứ tự trong ngày.",
    "office.code_imported.v1":
        "`office-<id>.imported.<code>`: tìm hồ sơ theo mã do hệ thống khác cấp.",
    "office.custody_case_closed.v1":
        "Công chức đã xác minh; `lost` (thất lạc) cũng là một câu trả lời, và có cái giá của nó.",
    "office.custody_case_opened.v1":
        "Phải có người xác minh trước `due_at`; `place` là nơi ghi nhận cuối cùng. `item` là"
        " khóa lưu"
        " giữ: `papers/<hồ sơ>`, `result/<hồ sơ>`, hoặc `stray/<máy>/<mã vạch>` với túi không rõ ai"
        " nộp.",
    "office.opened.v1": "`office-<id>`: bộ phận một cửa, với mã cơ quan, bắt đầu tiếp nhận.",
    "office.procedure_offered.v1":
        "`office-<id>.offers`: thủ tục mà máy của bộ phận một cửa nhận và trả, kể từ một ngày.",
    "office.renamed.v1":
        "`office-<id>`: tên hoặc mã cơ quan mới kể từ một ngày; giấy tờ cũ giữ tên cũ.",
    "procedure.published.v1":
        "`procedure-<code>`: quy định có hiệu lực; hồ sơ gắn với phiên bản của luồng.",
    "procedure.published.v2":
        "`procedure-<code>`: có hiệu lực từ `valid_from` đến khi có phiên bản sau."
        " `excluded_calendar_days` (niêm yết công khai) tính trước ngày làm việc;"
        " `supplement_clock`"
        " cho biết thời hạn khi chờ bổ sung.",
    "subject.erased.v1":
        "Các khóa dữ liệu nêu tên đã bị hủy; bản mã bị xóa tiếp theo. `basis`: theo yêu cầu của"
        " người"
        " dân (`request`) hoặc hết thời hạn lưu (`retention`); `reference` là số văn bản.",
}  # fmt: skip

_DOSSIER: Final = {
    "dossier.accepted.v1": "Trạng thái 2: công chức đã kiểm tra; thời hạn tính đến `due_at`.",
    "dossier.completed.v1": "Trạng thái 9: đã giải quyết xong; kết quả trả tại `return_machine`.",
    "dossier.completed.v2":
        "Như phiên bản 1, cho mọi cách trả; `return_machine` là null trừ khi trả tại máy.",
    "dossier.fee_cleared.v1": "Trở lại trạng thái 4: đã nộp đủ; thời hạn tính đến `due_at`.",
    "dossier.fee_due.v1": "Trạng thái 6: có nghĩa vụ tài chính; thời hạn dừng đến khi nộp đủ.",
    "dossier.imported.v1":
        "Trạng thái 4: nộp tại quầy hoặc trực tuyến; kết quả được trả qua máy.",
    "dossier.notice_repeated.v1": "Công dân chưa nhận được tin nhắn; gửi lại tin gần nhất.",
    "dossier.opened.v1": "Công chức mở túi hồ sơ và đối chiếu với kê khai của công dân.",
    "dossier.processing_started.v1":
        "Trạng thái 4: hồ sơ chuyển đến cơ quan giải quyết, theo mẫu 06.",
    "dossier.ready.v1": "Kết quả nằm trong ngăn của máy và có thể báo cho công dân.",
    "dossier.recalled.v1": "Cán bộ lấy kết quả khỏi ngăn; công dân nhận tại quầy.",
    "dossier.refused.v1": "Trạng thái 3: không tiếp nhận, kèm lý do, theo mẫu 03.",
    "dossier.registered.v1": "Trạng thái 1: đã nộp tại máy, bộ phận một cửa biết, chưa tiếp nhận.",
    "dossier.registered.v2":
        "Như phiên bản 1, thêm số trang, diện miễn được khai và giá trị băm để tra cứu.",
    "dossier.report_disputed.v1":
        "Phần mềm một cửa từ chối báo cáo; phải có người quyết định trước `due_at`.",
    "dossier.report_resolved.v1": "Có người đã xử lý báo cáo bị từ chối.",
    "dossier.reported.v1": "Phần mềm một cửa đã xác nhận một trạng thái.",
    "dossier.reported.v2":
        "Như phiên bản 1; `event` là sự kiện được báo cáo, null khi không được lưu.",
    "dossier.rescheduled.v1":
        "Xin lỗi và hẹn lại, theo mẫu 04; nhiều nhất một lần. `in_time` cho biết có báo trước"
        " hẹn cũ"
        " ít nhất một ngày hay không.",
    "dossier.return_reversed.v1":
        "Trở lại trạng thái 9: người giữ kết quả không phải công dân; đã mở vụ việc.",
    "dossier.returned.v1": "Trạng thái 10: công dân đã lấy kết quả.",
    "dossier.returned.v2":
        "Như phiên bản 1, cho mọi kênh; `proof` là căn cứ (quyền trả, chữ ký, vận đơn). `machine`,"
        " `grant`, `released_event` là null trừ khi trả tại máy; `official` là null khi trả tại"
        " máy.",
    "dossier.stopped.v1":
        "Trạng thái 8: cơ quan dừng giải quyết, kèm lý do, theo mẫu 05 năm 2025.",
    "dossier.supplement_received.v1":
        "Trở lại trạng thái 4: giấy tờ đã đủ; thời hạn tính đến `due_at`.",
    "dossier.supplement_requested.v1":
        "Trạng thái 5: thiếu giấy tờ; nêu mọi lý do một lần, theo mẫu 02. `clock`: thời hạn chưa"
        " tính,"
        " tạm dừng, hay tính lại từ đầu khi đủ giấy tờ. `requested_at` là lúc dừng.",
    "dossier.withdrawn.v1": "Trạng thái 7: công dân muốn rút hồ sơ.",
}  # fmt: skip

_MACHINE: Final = {
    "config.machine_enrolled.v1":
        "Máy được phép kết nối: dấu vân của chứng thư, khóa ký và kỳ nhật ký.",
    "config.machine_quarantined.v1":
        "Hai lịch sử cùng một định danh: không nhận thêm gì cho đến khi có người quyết định.",
    "config.machine_revoked.v1": "Máy không còn được phép kết nối.",
    "grant.payment_confirmed.v1": "Báo cho công dân tại máy rằng đã nộp đủ.",
    "grant.payment_offered.v1": "Hiện yêu cầu thanh toán này cho công dân tại máy.",
    "grant.payment_withdrawn.v1":
        "Hồ sơ kết thúc khi chưa nộp đủ: máy không yêu cầu nộp tiền nữa.",
    "grant.release_issued.v1":
        "Máy được trả một kết quả cho người biết mã nhận, đến `not_after`.",
    "kiosk.bin_emptied.v1":
        "Hai công chức chuyển túi hồ sơ từ thùng chứa sang túi niêm phong; danh sách là những gì đã"
        " đếm. Túi lẽ ra có mà không có trong danh sách thì mở vụ việc.",
    "kiosk.booted.v1": "Phần mềm của máy khởi động.",
    "kiosk.cash_closed.v1": "Kết thúc phiên nộp tiền mặt của một hồ sơ.",
    "kiosk.cash_closed.v2":
        "Như phiên bản 1, thêm lý do: nộp xong, bỏ đi, hoặc máy không tiếp tục được.",
    "kiosk.cash_discrepancy.v1": "Thiết bị đếm những tờ tiền không thuộc phiên nộp nào.",
    "kiosk.cash_note_credited.v1":
        "Thiết bị đã cất tờ tiền (thời điểm ghi có); `stacked_count` là số do thiết bị đếm.",
    "kiosk.cash_note_unplaced.v1":
        "Thiết bị đã cất tờ tiền khi không có phiên nộp nào mở; chưa rõ tiền của ai.",
    "kiosk.custody_unknown.v1":
        "Máy không biết túi hồ sơ hoặc kết quả ở đâu; mở vụ việc cho bộ phận một cửa.",
    "kiosk.custody_unknown.v2": "Như phiên bản 1, thêm mã vạch túi khi đọc được.",
    "kiosk.dossier_deposited.v1":
        "Máy đã nhận túi hồ sơ; chữ ĐÃ NHẬN chỉ hiện sau khi đã ghi xuống đĩa.",
    "kiosk.dossier_deposited.v2":
        "Như phiên bản 1, thêm dữ liệu để tính phí theo trang, diện miễn và tra cứu công khai."
        " `exemption` do công dân khai, công chức kiểm tra; `lookup` là giá trị băm của mã bí"
        " mật trên"
        " phiếu, 64 số 0 nếu phiếu không có.",
    "kiosk.grant_stored.v1": "Máy giữ quyền trả kết quả; từ nay có thể báo cho công dân.",
    "kiosk.qr_shown.v1": "Mã thanh toán đã hiện trên màn hình.",
    "kiosk.receipt_printed.v1": "Đã in một phiếu.",
    "kiosk.release_authorised.v1": "Mã nhận đúng; ghi lại trước khi mở khóa.",
    "kiosk.release_refused.v1": "Một lần nhận kết quả bị từ chối.",
    "kiosk.result_loaded.v1": "Công chức đặt kết quả vào ngăn và cửa đã đóng.",
    "kiosk.result_recalled.v1": "Công chức lấy kết quả khỏi ngăn, ngăn trống.",
    "kiosk.result_released.v1": "Ngăn trống và cửa đã đóng: công dân đã lấy kết quả.",
    "kiosk.result_uncollected.v1": "Cửa đã mở nhưng kết quả còn trong ngăn; quyền trả vẫn còn.",
}  # fmt: skip

_NOTIFICATION: Final = {
    "notification.accepted.v1": "Nhà mạng đã nhận và cấp mã tin nhắn.",
    "notification.attempted.v1":
        "Từ đây tin nhắn có thể đã được gửi: ghi lại trước khi gọi nhà mạng.",
    "notification.delivered.v1": "Đã có báo cáo giao tin.",
    "notification.failed.v1": "Nhà mạng từ chối; không có gì được gửi.",
    "notification.outcome_unknown.v1":
        "Không rõ đã gửi hay chưa; một người quyết định, không tự động gửi lại.",
    "notification.outcome_unknown.v2":
        "Như phiên bản 1; `owner` phải xác minh trước `due_at`, null khi không được lưu.",
    "notification.receipt_expected.v1":
        "`notification-sms.<mã>`: từ mã tin của nhà mạng tìm về tin nhắn của hệ thống.",
    "notification.requested.v1":
        "Cần gửi tin nhắn; phần cá nhân chỉ đọc từ các sự kiện nêu tên khi gửi.",
    "notification.requested.v2": "Như phiên bản 1, có mẫu tin cho mọi bước của hồ sơ.",
}  # fmt: skip

_MONEY: Final = {
    "payment.advance_released.v1":
        "Của khoản thanh toán: tiền nộp chưa đủ được ghi phải hoàn; mức phải nộp giữ nguyên.",
    "payment.bank_callback_conflict.v1":
        "Của khoản báo có: cùng mã giao dịch nhưng nội dung khác; cần người xem xét.",
    "payment.bank_callback_conflict_closed.v1":
        "Của khoản báo có: cán bộ đã xác minh nội dung nào đúng.",
    "payment.bank_credit_assigned.v1": "Của khoản báo có: đã khớp với thanh toán của hồ sơ này.",
    "payment.bank_credit_matched.v1": "Của khoản thanh toán: khoản báo có này trả cho nó.",
    "payment.bank_credit_received.v1":
        "`payment-bank.<provider>.<reference>`: có tiền vào, bất kể để làm gì.",
    "payment.bank_credit_return_approved.v1": "Của khoản báo có: cán bộ thứ hai đồng ý.",
    "payment.bank_credit_return_requested.v1":
        "Của khoản báo có: không ai biết để làm gì; cán bộ đề nghị trả lại.",
    "payment.bank_credit_returned.v1": "Của khoản báo có: đã trả lại theo `paid_reference`.",
    "payment.bank_credit_unmatched.v1":
        "Của khoản báo có: không tìm thấy khoản thanh toán; cần người xem xét.",
    "payment.cash_credited.v1": "Một tờ tiền máy đã cất được tính vào mức phải nộp.",
    "payment.cash_unplaced.v1":
        "`payment-bank.cash.<note_event>`: tờ tiền máy cất ngoài phiên nộp; cần người xem xét. Được"
        " gán cho hồ sơ hoặc trả lại như khoản báo có của bên cung cấp `cash`.",
    "payment.closed.v1":
        "Hồ sơ kết thúc không có kết quả; `owed_vnd` là tiền phải hoàn, kèm các phần.",
    "payment.duty_requested.v1":
        "Phát sinh nghĩa vụ tài chính khi giải quyết hồ sơ (do `duty_event` yêu cầu).",
    "payment.refund_approved.v1": "Cán bộ thứ hai đồng ý.",
    "payment.refund_paid.v1": "Tiền đã được chi.",
    "payment.refund_requested.v1":
        "Cán bộ đề nghị hoàn khoản phải hoàn; trong đó `overpaid_vnd` là phần nộp thừa.",
    "payment.requested.v1":
        "Yêu cầu nộp cho hồ sơ; phí và lệ phí tách riêng; `qr` rỗng khi không phải nộp.",
    "payment.settled.v1": "Đã nộp đủ; phần vượt mức phải hoàn cho người dân.",
    "payment.statement_read.v1":
        "`payment-statement.<provider>.<account>`: sao kê ngân hàng đến dòng `through`. Có"
        " `credits`"
        " dòng, tổng `amount_vnd`; `missed` dòng không được báo trước.",
    "payment.token_issued.v1":
        "`payment-token.<TOKEN>`: tìm khoản thanh toán theo nội dung chuyển khoản.",
    "receipt.issued.v1":
        "`receipt-<symbol>-<year>`: phiên bản = số biên lai, liên tục (điều 23 Nghị định"
        " 254/2026).",
}  # fmt: skip

_SUBSCRIBERS: Final = {
    "subscriber.added.v1":
        "Một hệ thống bên ngoài được nhận mọi sự kiện thuộc `types` sau vị trí `after`, "
        "từ nay về sau.",
    "subscriber.granted.v1":
        "Từ sự kiện này, hệ thống được nhận `types` thay cho các loại trước đó.",
    "subscriber.redrive_ordered.v1":
        "Các sự kiện từ `first` đến `last` được gửi lại một lần nữa.",
    "subscriber.removed.v1":
        "Từ sự kiện này không phải giao gì nữa; hàng đợi và tài khoản đã bị gỡ.",
    "subscriber.resumed.v1":
        "Tiếp tục từ chỗ đã dừng.",
    "subscriber.rotated.v1":
        "Một khóa truy cập được đổi; `until` là lúc khóa cũ hết hiệu lực, null là ngay "
        "lập tức.",
    "subscriber.suspended.v1":
        "Không gửi gì cho đến khi được tiếp tục; phần phải giao vẫn tăng lên. `all` đóng "
        "cả luồng đọc và hàng đợi, `webhook` chỉ dừng việc gửi.",
    "subscriber.webhook_confirmed.v1":
        "Bên đăng ký đã nhận mọi sự kiện phải giao sau `after` đến `through`; một sự kiện "
        "này thay cho nhiều lần gửi.",
    "subscriber.webhook_set.v1":
        "Từ sự kiện này, sự kiện được gửi đến `url`; null: không gửi nữa.",
}  # fmt: skip

TOLD_VI: Final[Mapping[str, str]] = {
    **_PEOPLE_AND_CATALOGUE, **_DOSSIER, **_MACHINE, **_NOTIFICATION, **_MONEY,
    **_SUBSCRIBERS,
}  # fmt: skip
