-- The events of a MEDS data set that are no readings, and those that are, by codes.py. Views: events
-- (subject_id, time, code, number, text_value, and those of adapt.MORE that the data set has, else
-- null), meanings (codes.py).
CREATE TABLE facts AS
SELECT
    subject_id, time, signal, parts, number, hadm_id, stay_id,
    row_number() OVER (
        ORDER BY subject_id, time NULLS FIRST, signal, parts, hadm_id, stay_id, number
    ) AS place
FROM events INNER JOIN meanings USING (code)
WHERE source IS NULL;

-- storetime: when it was known, where the data set tells two times, else null. Numbers are in the
-- unit of the item.
CREATE VIEW charted_events AS
SELECT
    subject_id, hadm_id, stay_id, source, signal, itemid, event, words, text_value, order_id, status,
    coalesce(charted, time) AS charttime,
    CASE WHEN charted IS NOT NULL THEN time END AS storetime,
    CASE WHEN scale = 1 AND shift = 0 THEN number ELSE number * scale + shift END AS number,
    coalesce(told_unit, nullif(unit, '')) AS unit
FROM events INNER JOIN meanings USING (code)
WHERE source IS NOT NULL AND coalesce(charted, time) IS NOT NULL
