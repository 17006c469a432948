# SPDX-License-Identifier: Apache-2.0
"""What every field of every event means, in English and Vietnamese.

One name has one meaning in all events; where an event says something narrower, the entry is
``<type>:<field>``. Fields of nested objects are ``<field>.<inner field>``. A test holds the table
to the contracts: nothing is missing, nothing is left over.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Meaning(NamedTuple):
    """One meaning in both languages."""

    en: str
    vi: str


_IDS: Final = {
    "dossier": Meaning(
        "The dossier's id; never changes.", "Định danh hồ sơ; không bao giờ thay đổi."),
    "case": Meaning("Id of the custody case.", "Định danh vụ việc thất lạc."),
    "cause_event": Meaning("The event that ended the dossier.", "Sự kiện làm hồ sơ kết thúc."),
    "code_event": Meaning(
        "The event that holds the collection code; null when the message has none.",
        "Sự kiện chứa mã nhận; null khi tin nhắn không có mã."),
    "contact_event": Meaning(
        "The event that holds the citizen's contact, sealed.",
        "Sự kiện chứa thông tin liên hệ (đã niêm phong) của công dân."),
    "duty_event": Meaning(
        "The event that asked for the further fee.", "Sự kiện yêu cầu nghĩa vụ tài chính."),
    "event": Meaning(
        "The event whose status was reported.", "Sự kiện có trạng thái được báo cáo."),
    "access.personal_read:event": Meaning(
        "The event that holds the value which was read.", "Sự kiện chứa giá trị được xem."),
    "grant": Meaning("Id of the right to release.", "Định danh quyền trả kết quả."),
    "loaded_event": Meaning(
        "The machine's record of the loading.", "Bản ghi của máy về việc đưa vào ngăn."),
    "note_event": Meaning(
        "The machine's record of the note.", "Bản ghi của máy về tờ tiền."),
    "notification": Meaning("Id of the message.", "Định danh tin nhắn."),
    "payment_event": Meaning(
        "The event by which the fee was covered.", "Sự kiện xác nhận đã nộp đủ."),
    "recalled_event": Meaning(
        "The machine's record of the recall.", "Bản ghi của máy về việc thu hồi."),
    "refund": Meaning("Id of the refund.", "Định danh khoản hoàn."),
    "released_event": Meaning(
        "The machine's record of the release; null for other channels.",
        "Bản ghi của máy về việc trả kết quả; null với kênh khác."),
    "settled_event": Meaning(
        "The event by which the fee was covered.", "Sự kiện xác nhận đã nộp đủ."),
    "keys": Meaning("Ids of the destroyed data keys.", "Định danh các khóa dữ liệu đã hủy."),
}  # fmt: skip

_PLACES: Final = {
    "agency": Meaning("Agency that resolves the dossier.", "Cơ quan giải quyết hồ sơ."),
    "agency_code": Meaning("The office's agency code.", "Mã cơ quan của bộ phận một cửa."),
    "bin": Meaning("Number of the bin in the machine.", "Số thùng chứa trong máy."),
    "cell": Meaning("Number of the cell in the machine.", "Số ngăn trong máy."),
    "epoch": Meaning("Number of the machine's journal.", "Số kỳ nhật ký của máy."),
    "found": Meaning(
        "Where it is: at the office, with the citizen, or lost.",
        "Đang ở đâu: tại bộ phận một cửa, người dân giữ, hoặc thất lạc."),
    "found_at": Meaning("Where exactly, in words.", "Vị trí cụ thể, bằng lời."),
    "item": Meaning("What is missing, as custody names it.", "Vật đang tìm, theo sổ lưu giữ."),
    "machine": Meaning(
        "Serial of the machine; null where none takes part.",
        "Số hiệu máy; null khi không qua máy."),
    "office": Meaning("The one-stop unit.", "Bộ phận một cửa."),
    "owner": Meaning("Who has to find out.", "Bên phải xác minh."),
    "dossier.report_disputed:owner": Meaning("Who has to decide.", "Bên phải quyết định."),
    "place": Meaning("Where it was last.", "Vị trí cuối cùng được ghi nhận."),
    "kiosk.custody_unknown:place": Meaning(
        "Part of the machine that lost sight of it.", "Bộ phận của máy không còn theo dõi được."),
    "pouch": Meaning(
        "Barcode of the pouch; null where none was read.",
        "Mã vạch túi hồ sơ; null khi không đọc được."),
    "pouches": Meaning(
        "Barcodes of all pouches that were counted.", "Mã vạch mọi túi hồ sơ đã đếm."),
    "release": Meaning("Release of the machine's program.", "Phiên bản phần mềm trên máy."),
    "return_machine": Meaning(
        "Machine that gives the result back; null for other ways.",
        "Máy trả kết quả; null với cách trả khác."),
    "seal": Meaning("Number of the bag's seal.", "Số niêm phong của túi."),
    "seq": Meaning("Place in the machine's journal.", "Số thứ tự trong nhật ký máy."),
    "serial": Meaning("Serial of the machine.", "Số hiệu máy."),
    "sign_key": Meaning("The machine's public signing key, hex.", "Khóa công khai ký số của máy."),
    "system": Meaning("The other system.", "Hệ thống bên ngoài."),
    "tls_fingerprint": Meaning(
        "SHA-256 of the machine's certificate, hex.", "SHA-256 của chứng thư máy, dạng hex."),
}  # fmt: skip

_PEOPLE: Final = {
    "approved_by": Meaning("Who let the machine speak.", "Người cho phép máy kết nối."),
    "by": Meaning("Login of who did it.", "Tài khoản người thực hiện."),
    "official": Meaning(
        "Login of the official; null where a machine did it.",
        "Tài khoản công chức; null khi do máy thực hiện."),
    "reader": Meaning("Login of who read.", "Tài khoản người xem."),
    "second_staff": Meaning("Badge of the second official.", "Thẻ của công chức thứ hai."),
    "staff": Meaning("Badge of the official at the machine.", "Thẻ của công chức tại máy."),
    "contact": Meaning(
        "Name and phone of the citizen: a stub, sealed.",
        "Họ tên và điện thoại của công dân: chỉ có phần niêm phong."),
}  # fmt: skip

_DOSSIER: Final = {
    "as_listed": Meaning(
        "Whether the pouch holds what the citizen listed.",
        "Túi hồ sơ có đúng như công dân kê khai hay không."),
    "channel": Meaning("How the dossier was handed in.", "Cách nộp hồ sơ."),
    "dossier.returned:channel": Meaning("How the result was given.", "Cách trả kết quả."),
    "notification.requested:channel": Meaning("How it is sent.", "Kênh gửi tin."),
    "clock": Meaning(
        "What the deadline does: not begun, pauses, or begins anew.",
        "Thời hạn: chưa tính, tạm dừng, hoặc tính lại từ đầu."),
    "code": Meaning("The dossier code.", "Mã hồ sơ."),
    "grant.release_issued:code": Meaning(
        "The collection code: a stub, sealed.", "Mã nhận: chỉ có phần niêm phong."),
    "copies": Meaning("How many copies are asked for.", "Số bản được yêu cầu."),
    "differences": Meaning(
        "What differs from the citizen's list.", "Những điểm khác với kê khai của công dân."),
    "due_at": Meaning("When the result is due.", "Thời điểm hẹn trả kết quả."),
    "dossier.report_disputed:due_at": Meaning(
        "Until when somebody has to decide.", "Hạn phải quyết định."),
    "office.custody_case_opened:due_at": Meaning(
        "Until when somebody has to find out.", "Hạn phải xác minh."),
    "notification.outcome_unknown:due_at": Meaning(
        "Until when somebody has to find out; null where that was not kept.",
        "Hạn phải xác minh; null khi không được lưu."),
    "exemption": Meaning(
        "Code of the exemption that is claimed; null for none.",
        "Mã diện miễn được khai; null nếu không có."),
    "form": Meaning("Number of the official form.", "Số mẫu phiếu."),
    "in_time": Meaning(
        "Whether the citizen is told a day before the old due time or earlier.",
        "Có báo cho công dân trước hẹn cũ ít nhất một ngày hay không."),
    "incident": Meaning("Number of the incident.", "Số vụ việc."),
    "lookup": Meaning(
        "Digest of the look-up secret on the slip; 64 zeros for none.",
        "Giá trị băm của mã tra cứu trên phiếu; 64 số 0 nếu không có."),
    "not_after": Meaning("When the right ends.", "Thời điểm quyền hết hiệu lực."),
    "pages": Meaning("Pages of each copy.", "Số trang mỗi bản."),
    "papers": Meaning("Papers that the citizen listed.", "Giấy tờ công dân kê khai."),
    "procedure": Meaning("National code of the procedure.", "Mã thủ tục hành chính quốc gia."),
    "procedure_version": Meaning(
        "The version of the procedure that holds for it.", "Phiên bản thủ tục được áp dụng."),
    "proof": Meaning(
        "What shows it: grant, signature, way-bill.",
        "Căn cứ: quyền trả, chữ ký, vận đơn."),
    "reason": Meaning("Why, in words.", "Lý do, bằng lời."),
    "reasons": Meaning("All reasons, in words.", "Mọi lý do, bằng lời."),
    "requested_at": Meaning(
        "When it was asked for; the deadline stands still from then.",
        "Thời điểm yêu cầu; thời hạn dừng từ lúc này."),
    "respond_by": Meaning("Last moment for the citizen.", "Hạn để công dân thực hiện."),
    "result_number": Meaning("Number on the result.", "Số của kết quả."),
    "return_channel": Meaning("How the result is to be given.", "Cách sẽ trả kết quả."),
    "status": Meaning(
        "Status code of the national portal, 1 to 10.",
        "Mã trạng thái của Cổng Dịch vụ công quốc gia, 1 đến 10."),
    "tries_left": Meaning("Attempts left.", "Số lần thử còn lại."),
    "working_days": Meaning("Working days allowed.", "Số ngày làm việc được phép."),
    "because": Meaning("What led to it.", "Nguyên nhân."),
    "payment.closed:because": Meaning("How the dossier ended.", "Hồ sơ kết thúc vì sao."),
    "kind": Meaning("What is missing: pouch, papers or result.", "Vật: túi, giấy tờ hay kết quả."),
    "kiosk.receipt_printed:kind": Meaning("Which slip.", "Loại phiếu."),
    "calendar.day_set:kind": Meaning(
        "Holiday, substitute day off, or worked weekend day.",
        "Ngày lễ, ngày nghỉ bù, hay ngày làm bù."),
    "kiosk.release_refused:reason": Meaning(
        "Wrong code, expired right, or locked after too many attempts.",
        "Sai mã, quyền hết hạn, hoặc bị khóa vì thử quá nhiều lần."),
    "kiosk.cash_closed:reason": Meaning(
        "The citizen was done, went away, or the machine could not go on.",
        "Công dân nộp xong, bỏ đi, hoặc máy không tiếp tục được."),
    "config.machine_quarantined:reason": Meaning(
        "The journal forked, or fell behind what was uploaded.",
        "Nhật ký bị rẽ nhánh, hoặc lùi so với phần đã gửi."),
    "payment.bank_credit_unmatched:reason": Meaning(
        "No token in the text, or one that nobody gave out.",
        "Nội dung không có mã, hoặc mã không tồn tại."),
}  # fmt: skip

_MONEY: Final = {
    "account": Meaning("Our bank account.", "Tài khoản ngân hàng của cơ quan."),
    "advance_vnd": Meaning("Paid, but short of the fee.", "Tạm thu, chưa đủ mức phải nộp."),
    "amount_vnd": Meaning("The amount.", "Số tiền."),
    "fees.amount_vnd": Meaning(
        "Amount by the rule: once, a copy, or a page.",
        "Mức thu theo cách tính: một lần, mỗi bản, hoặc mỗi trang."),
    "payment.settled:amount_vnd": Meaning("The fee that is covered.", "Số phải nộp đã đủ."),
    "payment.requested:amount_vnd": Meaning("Both fees together.", "Tổng phí và lệ phí."),
    "payment.statement_read:amount_vnd": Meaning(
        "Sum of the credits read.", "Tổng các khoản báo có đã đọc."),
    "amount_words_vi": Meaning(
        "The amount in Vietnamese words.", "Số tiền viết bằng chữ."),
    "body_digest": Meaning(
        "SHA-256 of the bank's notification, hex.", "SHA-256 của thông báo ngân hàng, dạng hex."),
    "collected_at": Meaning("When the fee was covered.", "Thời điểm thu đủ tiền."),
    "credits": Meaning("How many credits were read.", "Số khoản báo có đã đọc."),
    "denomination_vnd": Meaning("Value of the note.", "Mệnh giá tờ tiền."),
    "disputed": Meaning(
        "Credits that contradict what a callback told.",
        "Số khoản báo có trái với thông báo trước đó."),
    "fee_vnd": Meaning("Fee that the screen showed.", "Mức thu hiển thị trên màn hình."),
    "journalled_count": Meaning(
        "Notes that the journal explains.", "Số tờ tiền mà nhật ký giải thích được."),
    "le_phi_vnd": Meaning("Lệ phí.", "Lệ phí."),
    "lines": Meaning("The amounts by kind.", "Các khoản theo loại."),
    "lines.amount_vnd": Meaning("Amount of the line.", "Số tiền của dòng."),
    "lines.kind": Meaning("Phí or lệ phí.", "Phí hoặc lệ phí."),
    "method": Meaning("How it was paid.", "Cách thanh toán."),
    "missed": Meaning(
        "Credits that no callback had told.", "Số khoản báo có không được thông báo trước."),
    "notes": Meaning("How many notes.", "Số tờ tiền."),
    "number": Meaning("Number of the receipt.", "Số biên lai."),
    "overpaid_vnd": Meaning("Part that was paid above the fee.", "Phần nộp thừa."),
    "owed_vnd": Meaning("Sum that is the citizen's again.", "Tổng phải hoàn cho người dân."),
    "paid_reference": Meaning(
        "Reference of the transfer that sent it back.", "Mã giao dịch trả lại."),
    "paid_vnd": Meaning("What was paid.", "Số đã nộp."),
    "phi_vnd": Meaning("Phí.", "Phí."),
    "provider": Meaning(
        "Who told us: bank gateway or carrier.", "Bên báo: cổng ngân hàng hoặc nhà mạng."),
    "qr": Meaning(
        "VietQR content; empty when nothing is due.", "Nội dung VietQR; rỗng khi không phải nộp."),
    "reference": Meaning("The bank's reference.", "Mã giao dịch của ngân hàng."),
    "dossier.reported:reference": Meaning(
        "The other system's acknowledgement.", "Mã xác nhận của hệ thống bên kia."),
    "subject.erased:reference": Meaning(
        "Number of the paper that orders it.", "Số văn bản yêu cầu."),
    "stacked_count": Meaning(
        "The validator's own count of notes.", "Số tờ tiền do thiết bị tự đếm."),
    "symbol": Meaning("Series of receipts.", "Ký hiệu biên lai."),
    "through": Meaning(
        "Last line of the statement that was read.", "Dòng sao kê cuối cùng đã đọc."),
    "token": Meaning(
        "Payment token in the transfer's text; null when none was found.",
        "Mã nội dung chuyển khoản; null khi không tìm thấy."),
    "total_vnd": Meaning("Sum of the notes.", "Tổng số tiền."),
    "unreadable": Meaning("Lines that could not be read.", "Số dòng không đọc được."),
    "year": Meaning("Year of the receipts.", "Năm của biên lai."),
}  # fmt: skip

_CATALOGUE: Final = {
    "accept": Meaning("Taken in at the office's machines.", "Nhận hồ sơ tại máy."),
    "accept_at_machine": Meaning("May be handed in at machines.", "Được nộp tại máy."),
    "checklist": Meaning("Papers that belong to it.", "Thành phần hồ sơ."),
    "checklist.form": Meaning("Original, copy or declaration.", "Bản chính, bản sao hay tờ khai."),
    "checklist.name_vi": Meaning("Vietnamese name of the paper.", "Tên giấy tờ."),
    "procedure.published:code": Meaning(
        "National code of the procedure.", "Mã thủ tục hành chính quốc gia."),
    "day": Meaning("The day.", "Ngày."),
    "excluded_calendar_days": Meaning(
        "Calendar days (a public posting) before the working days begin.",
        "Số ngày lịch (niêm yết công khai) trước khi tính ngày làm việc."),
    "exemptions": Meaning("Who pays nothing of some kinds.", "Các diện miễn."),
    "exemptions.code": Meaning("Code of the exemption.", "Mã diện miễn."),
    "exemptions.kinds": Meaning("Kinds of fees that are free.", "Loại khoản được miễn."),
    "exemptions.text_vi": Meaning("Its text as shown.", "Nội dung hiển thị."),
    "fees": Meaning("What the procedure costs.", "Mức thu của thủ tục."),
    "fees.cap_vnd": Meaning(
        "Never more a copy; null for no cap.", "Tối đa mỗi bản; null nếu không có."),
    "fees.kind": Meaning("Phí or lệ phí.", "Phí hoặc lệ phí."),
    "fees.le_phi_vnd": Meaning("Lệ phí.", "Lệ phí."),
    "fees.name_vi": Meaning("Vietnamese name of the fee.", "Tên khoản thu."),
    "fees.phi_vnd": Meaning("Phí.", "Phí."),
    "fees.rule": Meaning("How it is reckoned.", "Cách tính."),
    "fees.then_from_page": Meaning(
        "Page from which the second rate holds; null for one rate.",
        "Từ trang này áp dụng mức thứ hai; null nếu một mức."),
    "fees.then_vnd": Meaning("The second rate a page.", "Mức thứ hai mỗi trang."),
    "field": Meaning("Area of administration, as a code.", "Lĩnh vực, dạng mã."),
    "field_vi": Meaning("Area of administration, in Vietnamese.", "Tên lĩnh vực."),
    "give_back": Meaning("Given back at the office's machines.", "Trả kết quả tại máy."),
    "legal_basis": Meaning("Legal basis.", "Căn cứ pháp lý."),
    "name_sms": Meaning("Unaccented short name for SMS.", "Tên ngắn không dấu cho tin nhắn."),
    "name_vi": Meaning("Vietnamese name.", "Tên tiếng Việt."),
    "return_at_machine": Meaning("May be collected at machines.", "Được trả kết quả tại máy."),
    "supplement_clock": Meaning(
        "What the deadline does while papers are missing.",
        "Thời hạn xử lý thế nào khi chờ bổ sung."),
    "valid_from": Meaning("First day on which it holds.", "Ngày bắt đầu áp dụng."),
}  # fmt: skip

_REST: Final = {
    "attempt": Meaning("Number of the attempt.", "Lần gửi thứ mấy."),
    "basis": Meaning(
        "The person asked, or the time to keep it is over.",
        "Theo yêu cầu của người dân, hoặc hết thời hạn lưu."),
    "error": Meaning("What the other side said.", "Lỗi do bên kia báo."),
    "access.personal_read:field": Meaning(
        "Name of the field that was read.", "Tên trường được xem."),
    "params": Meaning(
        "Words that fill the template; none is personal.",
        "Giá trị điền vào mẫu tin; không có dữ liệu cá nhân."),
    "provider_message": Meaning("The carrier's name of the message.", "Mã tin nhắn của nhà mạng."),
    "purpose": Meaning("What for.", "Mục đích."),
    "purposes": Meaning("Purposes of the erased data.", "Mục đích của dữ liệu đã xóa."),
    "state": Meaning("State in the delivery receipt.", "Trạng thái trong báo cáo giao tin."),
    "template": Meaning("Which text.", "Mẫu tin."),
    "key": Meaning("Random id of the data key.", "Định danh ngẫu nhiên của khóa dữ liệu."),
    "digest": Meaning(
        "SHA-256 over nonce and ciphertext, hex.", "SHA-256 của nonce và bản mã, dạng hex."),
    "commitment": Meaning("Commitment to the key, hex.", "Cam kết của khóa, dạng hex."),
}  # fmt: skip

_SUBSCRIBERS: Final = {
    "types": Meaning(
        "Event types that are owed from then on.",
        "Các loại sự kiện phải giao từ đó."),
    "subscriber.webhook_set:types": Meaning(
        "Of what is owed, the types that are sent; absent: all of them.",
        "Các loại được gửi trong phần phải giao; không có: gửi tất cả."),
    "token_digest": Meaning(
        "SHA-256 of the feed's token, hex; null where another credential was changed.",
        "SHA-256 của mã truy cập, dạng hex; null khi đổi khóa khác."),
    "credential": Meaning(
        "Which credential was made anew.",
        "Khóa truy cập nào được đổi."),
    "generation": Meaning(
        "Number of the credential in force.",
        "Số thứ tự của khóa đang dùng."),
    "subscriber.rotated:until": Meaning(
        "Until when the one before stays valid; null: it ended at once.",
        "Khóa cũ còn dùng được đến lúc nào; null: hết hiệu lực ngay."),
    "url": Meaning(
        "Where events are sent to; null: nowhere any more.",
        "Địa chỉ gửi sự kiện; null: không gửi nữa."),
    "scope": Meaning(
        "What stopped or goes on: everything, or sending only.",
        "Phạm vi: tất cả, hoặc chỉ việc gửi."),
    "subscriber.suspended:reason": Meaning(
        "Why nothing is given.",
        "Lý do tạm ngừng."),
    "subscriber.suspended:position": Meaning(
        "Event that could not be delivered; null where there is none.",
        "Sự kiện không giao được; null khi không có."),
    "subscriber.redrive_ordered:first": Meaning(
        "First position to be sent once more.",
        "Vị trí đầu cần gửi lại."),
    "subscriber.redrive_ordered:last": Meaning(
        "Last position to be sent once more.",
        "Vị trí cuối cần gửi lại."),
    "subscriber.redrive_ordered:reference": Meaning(
        "Number of the paper that asks for it.",
        "Số văn bản yêu cầu."),
    "after": Meaning(
        "Position behind which events are owed or were counted.",
        "Vị trí mà sau đó sự kiện phải giao hoặc được tính."),
    "subscriber.webhook_confirmed:through": Meaning(
        "Position up to which events were counted.",
        "Vị trí cuối được tính."),
    "subscriber.webhook_confirmed:count": Meaning(
        "How many events were taken.",
        "Số sự kiện đã nhận."),
    "subscriber.webhook_confirmed:digest": Meaning(
        "SHA-256 over position and id of each, hex.",
        "SHA-256 trên vị trí và định danh của từng sự kiện, dạng hex."),
}  # fmt: skip

MEANINGS: Final[Mapping[str, Meaning]] = {
    **_IDS, **_PLACES, **_PEOPLE, **_DOSSIER, **_MONEY, **_CATALOGUE, **_REST, **_SUBSCRIBERS,
}  # fmt: skip


def key_of(event_type: str, path: str) -> str:
    """Return the key of the entry that says what ``path`` means in ``event_type``."""
    own = f"{event_type}:{path}"
    return own if own in MEANINGS else path
