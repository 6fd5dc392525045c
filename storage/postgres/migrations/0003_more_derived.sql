-- More that is derived from a message, and by which parser it was. Every column is NULL or has a
-- constant default: no row is written anew for it, in a table of any size. What is there already gets
-- its values from `mailserver reparse`.

ALTER TABLE messages
	ADD COLUMN text_is_derived boolean NOT NULL DEFAULT false, -- from HTML or another rich form
	ADD COLUMN reply_text      text, -- where it is not all of the text
	ADD COLUMN security        text, -- signed or encrypted
	ADD COLUMN auto_submitted  text,
	ADD COLUMN list_id         text,
	ADD COLUMN is_bounce       boolean NOT NULL DEFAULT false,
	ADD COLUMN report          jsonb,
	ADD COLUMN mailbox_tag     text, -- of the first envelope recipient that has one
	ADD COLUMN parser_version  integer NOT NULL DEFAULT 0; -- 0: before versions were kept
ALTER TABLE message_parts
	ADD COLUMN inside text; -- of a file within another part's content: where

-- As for the other long texts. A partition that is made later has it from its parent; those that are
-- there have to be told.
DO $$
DECLARE
	one regclass;
BEGIN
	FOR one IN SELECT relid FROM pg_partition_tree('messages') LOOP
		EXECUTE format('ALTER TABLE %s
			ALTER COLUMN reply_text SET COMPRESSION lz4,
			ALTER COLUMN report SET COMPRESSION lz4', one);
	END LOOP;
EXCEPTION WHEN feature_not_supported OR syntax_error THEN
	NULL;
END
$$;
