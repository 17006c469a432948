-- SPDX-License-Identifier: Apache-2.0
-- Services read the log and enter it only through the functions.

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA eventlog FROM PUBLIC;
GRANT USAGE ON SCHEMA eventlog
TO motcua_intake, motcua_payment, motcua_notify, motcua_kiosk_sync, motcua_audit, motcua_relay;
GRANT SELECT ON
    eventlog.event, eventlog.log_head, eventlog.event_pii, eventlog.reactor, eventlog.handled,
    eventlog.stream_head, eventlog.append_key, eventlog.migration
TO motcua_intake, motcua_payment, motcua_notify, motcua_kiosk_sync, motcua_audit;
GRANT SELECT ON eventlog.event, eventlog.log_head, eventlog.migration TO motcua_relay;
GRANT SELECT, INSERT, UPDATE ON eventlog.relay TO motcua_relay;
GRANT EXECUTE ON FUNCTION eventlog.append, eventlog.settle, eventlog.advance_done_through
TO motcua_intake, motcua_payment, motcua_notify, motcua_kiosk_sync, motcua_audit;
