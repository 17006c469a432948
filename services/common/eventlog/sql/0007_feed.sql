-- SPDX-License-Identifier: Apache-2.0
-- The feed for systems outside reads events, heads and checkpoints; no ciphertext, no read model.

GRANT USAGE ON SCHEMA eventlog TO motcua_feed;
GRANT SELECT ON
    eventlog.event, eventlog.log_head, eventlog.stream_head, eventlog.checkpoint, eventlog.migration
TO motcua_feed;
