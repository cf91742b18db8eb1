-- Task readmission: of those discharged alive, who is admitted again within 30 days (720 h)?
-- Planned or not; looked up among all admissions of the source, not in the cohort alone.
-- Kind: binary. Views: in_hospital, returns.
-- One row per episode; columns as in mortality.sql.

SELECT
    in_hospital.*,
    NOT died
        AS "condition: discharged alive",

    readmitted AS label,

    -- What the next admission is, as MIMIC's admission_type says: under observation, or for surgery
    -- of the same day, which is mostly planned. Both are readmissions here; how many is counted.
    readmitted AND COALESCE(next_type LIKE '%OBSERVATION%', FALSE)
        AS "count: readmissions for observation",
    readmitted AND COALESCE(next_type = 'SURGICAL SAME DAY ADMISSION', FALSE)
        AS "count: readmissions for surgery of the same day",
    died_instead
        AS "count: negatives that died within 30 days of the discharge",
    impossible_instead
        AS "count: negatives with an admission of impossible times within 30 days (no return)"
FROM in_hospital
INNER JOIN returns USING (episode_id)
