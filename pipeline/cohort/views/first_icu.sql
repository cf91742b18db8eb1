-- The first ICU stay of each admission that has one: subject_id, hadm_id, stay_id, intime.
-- Tables: icustays.
-- A stay is known from its intime on. Of two that begin in the same second (a transfer between
-- units, charted twice) the one with the lower stay_id counts.

SELECT subject_id, hadm_id, stay_id, intime
FROM icustays
WHERE intime IS NOT NULL
QUALIFY ROW_NUMBER() OVER (PARTITION BY subject_id, hadm_id ORDER BY intime, stay_id) = 1
