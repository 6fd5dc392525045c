-- SPDX-License-Identifier: MIT
-- More that is derived from a message, and by which parser it was. `report` is JSON and has no check:
-- to add one, SQLite reads the whole table. What is there already gets its values from
-- `mailserver reparse`.
alter table messages add column text_is_derived integer not null default 0;
alter table messages add column reply_text text; -- where it is not all of the text
alter table messages add column security text;
alter table messages add column auto_submitted text;
alter table messages add column list_id text;
alter table messages add column is_bounce integer not null default 0;
alter table messages add column report text;
alter table messages add column mailbox_tag text;
alter table messages add column parser_version integer not null default 0; -- 0: before versions were kept
alter table message_parts add column inside text;
