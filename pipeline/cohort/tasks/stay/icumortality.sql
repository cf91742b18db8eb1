-- Task icumortality: of those alive and in the ICU at T, and still there six hours later, who dies
-- in this ICU stay? The question of YAIB (van de Water et al. 2024, ICLR) at T = 24 h, whose labels
-- come with hourly concept tables: stays shorter than 30 h are left out there, deaths after the ICU
-- are none.
-- Kind: binary. Tables: episodes. Views: at_risk, in_icu, hospital_deaths.
-- Setting: $hours, from clock_zero to T. One row per stay; columns as in mortality.sql beside this.

SELECT
    in_icu.*,
    -- Who leaves within six hours was about to: the data of T say so. It is known later only.
    episodes."end" > at_risk.prediction_time + INTERVAL 6 HOUR
        AS "condition, looking ahead: still in the ICU 6 h after T",

    -- ASSUME a death in hospital without a time is one in the ICU if the admission ends with it.
    died AND COALESCE(deathtime, dischtime) <= episodes."end" AS label,

    CASE
        WHEN died
        THEN ROUND(
            DATE_DIFF('second', at_risk.clock_zero, COALESCE(deathtime, dischtime)) / 3600.0, 4
        )
    END AS onset_hours,

    died AND COALESCE(deathtime, dischtime) > episodes."end"
        AS "count: deaths in hospital after this ICU stay (negatives)"
FROM at_risk
INNER JOIN in_icu USING (episode_id)
INNER JOIN episodes USING (episode_id)
INNER JOIN hospital_deaths ON at_risk.hadm_id = hospital_deaths.hadm_id
