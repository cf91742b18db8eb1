-- Task mortality of ICU stays: of those alive and still in the ICU at T, who dies in this
-- admission, in the ICU or after it? (unimed2022.md, section 3; published with T = 48 h.)
-- Kind: binary. Tables: episodes, admissions.
-- Setting: $hours, from clock_zero (the patient's arrival) to T. One row per stay.
--
-- Columns as in ../admission/mortality.sql; onset_hours, from clock_zero to the death, is for the
-- model's feedback and for counting. What happens at T itself is not known before T: its data are
-- [0, T).

WITH clock AS (
    SELECT
        episode_id,
        clock_zero,
        "end",
        clock_zero + TO_HOURS($hours) AS prediction_time,
        admissions.deathtime,
        admissions.dischtime,
        admissions.hospital_expire_flag,
        -- As in ../admission/mortality.sql: hospital_expire_flag wins where the columns disagree.
        COALESCE(
            admissions.hospital_expire_flag = 1,
            admissions.deathtime IS NOT NULL OR admissions.discharge_location = 'DIED',
            FALSE
        ) AS died
    FROM episodes
    INNER JOIN admissions USING (hadm_id)
)

SELECT
    episode_id,

    deathtime IS NULL OR deathtime > prediction_time
        AS "condition: alive at T = {hours} h",
    "end" > prediction_time
        AS "condition: still in the ICU at T",

    died AS label,

    CASE
        WHEN died
        THEN ROUND(DATE_DIFF('second', clock_zero, COALESCE(deathtime, dischtime)) / 3600.0, 4)
    END AS onset_hours,

    died AND deathtime IS NULL
        AS "count: deaths without deathtime (dischtime stands in)",
    (hospital_expire_flag = 1) IS DISTINCT FROM (deathtime IS NOT NULL)
        AS "count: hospital_expire_flag and deathtime disagree about the death"
FROM clock
