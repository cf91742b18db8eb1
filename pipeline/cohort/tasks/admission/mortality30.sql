-- Task mortality30: of those alive and in hospital at the prediction time, who dies within 30 days
-- of it, in hospital or elsewhere?
-- Kind: binary. Tables: episodes, patients. Views: at_risk, hospital_deaths.
-- One row per episode; columns as in mortality.sql.
--
-- The source gives the day of a death (patients.dod), no hour, so whole days are counted: a death
-- on the day of the prediction or on one of the 30 days after it is one within 30 days. dod reaches
-- one year past the patient's last discharge, and who is in hospital is discharged later, so that
-- 30 days are followed up for everybody.
-- ASSUME that dod holds deaths out of hospital, too, as MIMIC-IV's, which has them from the state's
-- records: where it holds those in hospital alone this is another task, and nothing tells.

WITH days AS (
    SELECT
        at_risk.*,
        CAST(at_risk.prediction_time AS DATE) AS day,
        CAST(patients.dod AS DATE) AS dod,
        -- A death in hospital is on the day of its deathtime, else of the discharge.
        CASE WHEN died THEN CAST(COALESCE(deathtime, dischtime) AS DATE) END AS hospital_death,
        -- Nobody dies in hospital and later again: the earlier day counts (LEAST skips nulls).
        LEAST(CAST(patients.dod AS DATE), hospital_death) AS death
    FROM at_risk
    INNER JOIN episodes USING (episode_id)
    INNER JOIN hospital_deaths ON episodes.hadm_id = hospital_deaths.hadm_id
    LEFT JOIN patients ON episodes.subject_id = patients.subject_id
)

SELECT
    episode_id,

    EXISTS (SELECT 1 FROM patients WHERE dod IS NOT NULL)
        AS "required: days of death, but patients.dod is empty; ask for mortality, which is in
            hospital",

    still_there
        AS "condition: in hospital at the prediction time",
    -- by the day of death, too: a patient who had died on an earlier day was not there
    alive AND (dod IS NULL OR dod >= day)
        AS "condition: alive at the prediction time",

    -- adding whole days to a date makes a date
    COALESCE(death <= day + 30, FALSE) AS label,

    COALESCE(death = day, FALSE)
        AS "count: deaths on the day of the prediction, of which the hour may be unknown",
    COALESCE(death <= day + 30, FALSE) AND dod IS NULL
        AS "count: deaths in hospital without dod (deathtime or dischtime stands in)",
    COALESCE(dod > hospital_death, FALSE)
        AS "count: deaths in hospital of which dod is a later day (the earlier counts)"
FROM days
