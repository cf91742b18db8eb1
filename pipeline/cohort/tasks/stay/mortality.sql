-- Task mortality of ICU stays: of those alive and still in the ICU at T, who dies in this
-- admission, in the ICU or after it? (unimed2022.md, section 3; published with T = 48 h.)
-- Kind: binary. Views: at_risk, in_icu, hospital_deaths.
-- Setting: $hours, from clock_zero (the patient's arrival) to T. One row per stay.
--
-- Columns as in ../admission/mortality.sql; onset_hours, from clock_zero to the death, is for the
-- model's feedback and for counting. What happens at T itself is not known before T: its data are
-- [0, T).

SELECT
    in_icu.*,

    died AS label,

    CASE
        WHEN died
        THEN ROUND(DATE_DIFF('second', clock_zero, COALESCE(deathtime, dischtime)) / 3600.0, 4)
    END AS onset_hours,

    died AND deathtime IS NULL
        AS "count: deaths without deathtime (dischtime stands in)",
    deathtime_disagrees
        AS "count: hospital_expire_flag and deathtime disagree about the death"
FROM at_risk
INNER JOIN in_icu USING (episode_id)
INNER JOIN hospital_deaths USING (hadm_id)
