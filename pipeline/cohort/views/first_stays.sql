-- The first ICU stay of each patient who has one: subject_id, hadm_id, stay_id, intime.
-- Tables: icustays.
-- Of the source, before any condition of a cohort: whether a stay is the first is known as it
-- begins. Of two that begin in the same second the one with the lower stay_id counts.

SELECT subject_id, hadm_id, stay_id, intime
FROM icustays
WHERE intime IS NOT NULL
QUALIFY ROW_NUMBER() OVER (PARTITION BY subject_id ORDER BY intime, stay_id) = 1
