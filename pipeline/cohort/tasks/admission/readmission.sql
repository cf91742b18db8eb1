-- Task readmission: of those discharged alive, who is admitted again within 30 days (720 h)?
-- Planned or not; looked up among all admissions of the source, not in the cohort alone.
-- Kind: binary. Tables: episodes, admissions, patients. Views: at_risk, hospitalisations, possible.
-- One row per episode; columns as in mortality.sql.

WITH outcome AS (
    SELECT
        *,
        COALESCE(next_admittime <= dischtime + INTERVAL 720 HOUR, FALSE) AS readmitted
    FROM hospitalisations
)

SELECT
    episodes.episode_id,

    at_risk.still_there
        AS "condition: in hospital at the prediction time",
    at_risk.alive
        AS "condition: alive at the prediction time",
    -- Who dies in hospital, or in the one that the patient is transferred to, cannot come back.
    NOT outcome.died
        AS "condition: discharged alive",

    outcome.readmitted AS label,

    -- What the next admission is, as MIMIC's admission_type says: under observation, or for surgery
    -- of the same day, which is mostly planned. Both are readmissions here; how many is counted.
    outcome.readmitted AND COALESCE(outcome.next_type LIKE '%OBSERVATION%', FALSE)
        AS "count: readmissions for observation",
    outcome.readmitted AND COALESCE(outcome.next_type = 'SURGICAL SAME DAY ADMISSION', FALSE)
        AS "count: readmissions for surgery of the same day",
    -- A death at home hides a readmission that might have been; these negatives are counted. The
    -- source gives its day only.
    NOT outcome.readmitted
    AND COALESCE(
        CAST(patients.dod AS DATE) <= CAST(outcome.dischtime + INTERVAL 720 HOUR AS DATE), FALSE
    )
        AS "count: negatives that died within 30 days of the discharge",
    NOT outcome.readmitted
    AND EXISTS (
        SELECT 1
        FROM admissions AS later
        INNER JOIN possible USING (hadm_id)
        WHERE
            NOT possible.came
            AND later.subject_id = episodes.subject_id
            AND later.admittime > outcome.dischtime
            AND later.admittime <= outcome.dischtime + INTERVAL 720 HOUR
    )
        AS "count: negatives with an admission of impossible times within 30 days (no return)"
FROM episodes
INNER JOIN at_risk USING (episode_id)
LEFT JOIN patients ON episodes.subject_id = patients.subject_id
INNER JOIN outcome ON episodes.hadm_id = outcome.hadm_id
