-- ICU stays that overlap a stay of the same patient under another admission: stay_id.
-- Tables: admissions, icustays.
-- Stays of no admission of the source are not used, so they do not count.

WITH used AS (
    SELECT icustays.*
    FROM icustays
    SEMI JOIN admissions USING (subject_id, hadm_id)
)

SELECT one.stay_id
FROM used AS one
SEMI JOIN used AS other
    ON one.subject_id = other.subject_id AND one.hadm_id <> other.hadm_id
    AND one.intime < other.outtime AND other.intime < one.outtime
