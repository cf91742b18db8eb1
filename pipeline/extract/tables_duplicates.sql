-- Rows beyond the first of their kind. They are kept here: which of them is an error depends on the
-- table, so the modalities remove them with a stated rule.
WITH kinds AS (
    SELECT count(*) AS copies
    FROM extracted AS source_row
    GROUP BY hash(source_row)
)
SELECT coalesce(sum(copies - 1), 0)::BIGINT AS duplicates
FROM kinds
