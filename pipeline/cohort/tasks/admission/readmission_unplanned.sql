-- Task readmission_unplanned: of those discharged alive, whose next admission comes within 30 days
-- (720 h) and is unplanned?
-- As readmission.sql, of which this is a part: looked up among all admissions of the source.
-- Kind: binary. Views: in_hospital, returns. Analyses: readmission.
-- One row per episode; columns as in mortality.sql.
--
-- Of MIMIC's types of admission two are planned: ELECTIVE and SURGICAL SAME DAY ADMISSION. Only the
-- next admission counts, as in CMS's hospital-wide measure of readmissions: an unplanned one that
-- follows a planned one within the 30 days may come of the planned one, and is no outcome.
-- ASSUME that an admission under observation is unplanned (CMS's measure counts none of them), and
-- one of unknown type, too.

WITH typed AS (
    SELECT
        *,
        COALESCE(next_type IN ('ELECTIVE', 'SURGICAL SAME DAY ADMISSION'), FALSE) AS planned
    FROM returns
)

SELECT
    in_hospital.*,
    NOT died
        AS "condition: discharged alive",

    readmitted AND NOT planned AS label,

    readmitted AND planned
        AS "count: negatives with a planned readmission within 30 days",
    readmitted AND COALESCE(next_type LIKE '%OBSERVATION%', FALSE)
        AS "count: readmissions for observation",
    readmitted AND next_type IS NULL
        AS "count: readmissions of unknown type",
    died_instead
        AS "count: negatives that died within 30 days of the discharge",
    impossible_instead
        AS "count: negatives with an admission of impossible times within 30 days (no return)"
FROM in_hospital
INNER JOIN typed USING (episode_id)
