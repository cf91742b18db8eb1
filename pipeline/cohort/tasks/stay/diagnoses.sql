-- Task diagnoses: which diagnoses will the admission be coded with? Asked of those alive and still
-- in the ICU at T; one label per group of codes, see pipeline/cohort/diagnoses.py.
-- Diagnoses carry no time stamp: many were there before T, so this asks what the data tell about
-- the whole admission, not what will happen after T.
-- Kind: many. Tables: diagnoses_icd, d_icd_diagnoses. Views: at_risk, in_icu.
-- Setting: $hours, from clock_zero to T. One row per stay; columns as in mortality.sql
-- beside this. There is no single label.

SELECT
    in_icu.*,
    -- An admission that nobody coded is not one without diagnoses.
    hadm_id IN (SELECT hadm_id FROM diagnoses_icd)
        AS "condition: with coded diagnoses",

    NULL AS label,
    NULL AS onset_hours
FROM at_risk
INNER JOIN in_icu USING (episode_id)
