-- Which chunk of which call brought a row. A chunk whose commit was in doubt is submitted again with the same id, and knows
-- its own rows by it; rows of older versions have none.
alter table imported_rows add column chunk_id uuid;
