-- The rows of some ids, compact: each variable and each text by its place in a dictionary.
-- Views: long (episode_id, t, variable, value, position), ids (episode_id, row), variables
-- (variable, place, static). Creates: known, texts.
CREATE OR REPLACE TEMP VIEW known AS
SELECT
    i.row, v.place, v.static, l.value, l.position,
    -- Of a time-invariant variable the last row counts, whatever its time.
    CASE WHEN NOT v.static THEN l.t END AS t
FROM long AS l JOIN ids AS i USING (episode_id) JOIN variables AS v USING (variable)
WHERE l.value IS NOT NULL AND (l.t IS NULL OR l.t >= 0 AND l.t < $hours)
    -- ASSUME: what a time-invariant variable says at a time is known only then: left out, unless
    -- as published.
    AND (NOT v.static OR l.t IS NULL OR $published);

CREATE OR REPLACE TEMP TABLE texts AS
SELECT value, CAST(row_number() OVER (ORDER BY value) - 1 AS INTEGER) AS text
FROM (SELECT DISTINCT value FROM known)
