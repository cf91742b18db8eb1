-- What follows the hospitalisation of each episode within 30 days (720 h) of its end: one row per
-- episode. Looked up among all admissions of the source, not in the cohort alone.
-- Tables: episodes, admissions, patients. Views: hospitalisations, possible.

SELECT
    episodes.episode_id,
    -- Who dies in hospital, or in the one that the patient is transferred to, cannot come back.
    hospitalisations.died,
    COALESCE(next_admittime <= dischtime + INTERVAL 720 HOUR, FALSE) AS readmitted,
    next_type,
    -- A death at home hides a return that might have been. The source gives its day only.
    NOT readmitted
    AND COALESCE(CAST(patients.dod AS DATE) <= CAST(dischtime + INTERVAL 720 HOUR AS DATE), FALSE)
        AS died_instead,
    NOT readmitted
    AND EXISTS (
        SELECT 1
        FROM admissions AS later
        INNER JOIN possible USING (hadm_id)
        WHERE
            NOT possible.came
            AND later.subject_id = episodes.subject_id
            AND later.admittime > hospitalisations.dischtime
            AND later.admittime <= hospitalisations.dischtime + INTERVAL 720 HOUR
    )
        AS impossible_instead
FROM episodes
LEFT JOIN patients ON episodes.subject_id = patients.subject_id
INNER JOIN hospitalisations ON episodes.hadm_id = hospitalisations.hadm_id
