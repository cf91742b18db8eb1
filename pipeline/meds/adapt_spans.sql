-- What begins by one code and ends by another, an admission or an ICU stay: one row each. Views:
-- facts. Fields: {name}, {began}, {ended} (signals), {id} (its column in facts), {base} (numbers
-- from here on name those that the data set does not).
-- An end is the one of the same id; where ends have none the first from the beginning on, and before
-- the next begins.
CREATE OR REPLACE TABLE {name} AS
WITH single AS (
    SELECT
        subject_id,
        coalesce({id}, {base} + dense_rank() OVER (ORDER BY subject_id, time)) AS id,
        time AS began, parts, hadm_id, place
    FROM facts WHERE signal = '{began}' AND time IS NOT NULL
),
begun AS (
    SELECT
        subject_id, id, min(began) AS began, arg_min(parts, place) AS parts,
        arg_min(hadm_id, place) AS hadm_id
    FROM single GROUP BY subject_id, id
),
in_order AS (
    SELECT *, lead(began) OVER (PARTITION BY subject_id ORDER BY began, id) AS next_began
    FROM begun
),
ends AS (
    SELECT subject_id, {id} AS id, time AS ended, parts, place
    FROM facts WHERE signal = '{ended}' AND time IS NOT NULL
),
matched AS (
    SELECT b.subject_id, b.id, min_by(e.ended, e.place) AS ended, min_by(e.parts, e.place) AS left_by
    FROM in_order AS b INNER JOIN ends AS e
        ON e.subject_id = b.subject_id AND (
            e.id = b.id
            OR e.id IS NULL AND e.ended >= b.began
            AND (b.next_began IS NULL OR e.ended <= b.next_began)
        )
    GROUP BY b.subject_id, b.id
)
SELECT in_order.* EXCLUDE (next_began), matched.ended, matched.left_by
FROM in_order LEFT JOIN matched USING (subject_id, id)
