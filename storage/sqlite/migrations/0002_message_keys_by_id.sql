-- SPDX-License-Identifier: MIT
-- The oldest keys, to be deleted.
create index message_keys_id on message_keys (id);
