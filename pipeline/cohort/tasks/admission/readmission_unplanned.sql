-- Task readmission_unplanned: of those discharged alive, whose next admission comes within 30 days
-- (720 h) and is unplanned?
-- As readmission.sql, of which this is a part: looked up among all admissions of the source.
-- Kind: binary. Tables: episodes, patients. Views: at_risk, hospitalisations.
-- One row per episode; columns as in mortality.sql.
--
-- Of MIMIC's types of admission two are planned: ELECTIVE and SURGICAL SAME DAY ADMISSION. Only the
-- next admission counts, as in CMS's hospital-wide measure of readmissions: an unplanned one that
-- follows a planned one within the 30 days may come of the planned one, and is no outcome.
-- ASSUME that an admission under observation is unplanned, and one of unknown type, too.

WITH outcome AS (
    SELECT
        *,
        COALESCE(next_admittime <= dischtime + INTERVAL 720 HOUR, FALSE) AS readmitted,
        COALESCE(next_type IN ('ELECTIVE', 'SURGICAL SAME DAY ADMISSION'), FALSE) AS planned
    FROM hospitalisations
)

SELECT
    episodes.episode_id,

    at_risk.still_there
        AS "condition: in hospital at the prediction time",
    at_risk.alive
        AS "condition: alive at the prediction time",
    NOT outcome.died
        AS "condition: discharged alive",

    outcome.readmitted AND NOT outcome.planned AS label,

    outcome.readmitted AND outcome.planned
        AS "count: negatives with a planned readmission within 30 days",
    outcome.readmitted AND outcome.next_type IS NULL
        AS "count: readmissions of unknown type",
    NOT outcome.readmitted
    AND COALESCE(
        CAST(patients.dod AS DATE) <= CAST(outcome.dischtime + INTERVAL 720 HOUR AS DATE), FALSE
    )
        AS "count: negatives that died within 30 days of the discharge"
FROM episodes
INNER JOIN at_risk USING (episode_id)
LEFT JOIN patients ON episodes.subject_id = patients.subject_id
INNER JOIN outcome ON episodes.hadm_id = outcome.hadm_id
