-- OASIS (Johnson et al. 2013): points of ten variables by the worst value known in the 24 hours
-- before T; null: no value. One row per episode.
-- Tables: admissions, icustays, services. Views of scores.sql: asked, vitals, gcs, ventilated,
-- urine.
-- Nothing here is coded at discharge. Of a value that may be too low or too high the lowest and the
-- highest count, whichever has more points.
CREATE TEMP MACRO of_heart_rate(beats) AS
    CASE
        WHEN beats < 33 THEN 4
        WHEN beats < 89 THEN 0
        WHEN beats < 107 THEN 1
        WHEN beats <= 125 THEN 3
        WHEN beats > 125 THEN 6
    END;
CREATE TEMP MACRO of_pressure(mmhg) AS
    CASE
        WHEN mmhg < 20.65 THEN 4
        WHEN mmhg < 51 THEN 3
        WHEN mmhg < 61.33 THEN 2
        WHEN mmhg <= 143.44 THEN 0
        WHEN mmhg > 143.44 THEN 3
    END;
CREATE TEMP MACRO of_rate(breaths) AS
    CASE
        WHEN breaths < 6 THEN 10
        WHEN breaths < 13 THEN 1
        WHEN breaths <= 22 THEN 0
        WHEN breaths <= 30 THEN 1
        WHEN breaths <= 44 THEN 6
        WHEN breaths > 44 THEN 9
    END;
CREATE TEMP MACRO of_temperature(celsius) AS
    CASE
        WHEN celsius < 33.22 THEN 3
        WHEN celsius <= 35.93 THEN 4
        WHEN celsius <= 36.39 THEN 2
        WHEN celsius < 36.89 THEN 0
        WHEN celsius <= 39.88 THEN 2
        WHEN celsius > 39.88 THEN 6
    END;

-- From admission to the ICU stay of the episode, if it had begun by T.
WITH before_icu AS (
    SELECT
        asked.episode_id, date_diff('minute', admissions.admittime, icustays.intime) AS minutes,
        CASE
            WHEN minutes < 10.2 THEN 5
            WHEN minutes < 297 THEN 3
            WHEN minutes < 1440 THEN 0
            WHEN minutes < 18708 THEN 2
            ELSE 1
        END AS before_icu
    FROM asked
    JOIN admissions USING (hadm_id)
    JOIN icustays ON icustays.stay_id = asked.stay_id AND icustays.intime < asked.cut
    WHERE minutes IS NOT NULL
),
age AS (
    SELECT
        episode_id,
        CASE
            WHEN age < 24 THEN 0
            WHEN age < 54 THEN 3
            WHEN age < 78 THEN 6
            WHEN age < 90 THEN 9
            WHEN age >= 90 THEN 7
        END AS age
    FROM asked
),
consciousness AS (
    SELECT
        episode_id,
        CASE WHEN gcs_min < 8 THEN 10 WHEN gcs_min < 14 THEN 4 WHEN gcs_min < 15 THEN 3 ELSE 0 END
            AS consciousness
    FROM gcs
),
charted_vitals AS (
    SELECT
        episode_id,
        greatest(of_heart_rate(heart_rate_min), of_heart_rate(heart_rate_max)) AS heart_rate,
        greatest(of_pressure(pressure_min), of_pressure(pressure_max)) AS pressure,
        greatest(of_rate(rate_min), of_rate(rate_max)) AS respiratory_rate,
        greatest(of_temperature(temperature_min), of_temperature(temperature_max)) AS temperature
    FROM vitals
),
-- On a ventilator at some time of the 24 hours.
ventilation AS (
    SELECT DISTINCT a.episode_id
    FROM asked AS a JOIN ventilated AS v
        ON v.episode_id = a.episode_id AND v.begun < a.cut AND v.ended >= a.since
),
diuresis AS (
    SELECT
        episode_id,
        CASE
            WHEN ml < 671.09 THEN 10
            WHEN ml < 1427 THEN 5
            WHEN ml <= 2544.14 THEN 1
            WHEN ml <= 6896.80 THEN 0
            WHEN ml > 6896.80 THEN 8
        END AS urine
    FROM urine
),
-- Elective surgery by what is known at T: the kind of admission, and the services until then.
-- ASSUME surgery on the day of admission is elective, too (MIMIC-III called it so).
surgical AS (
    SELECT DISTINCT a.episode_id
    FROM asked AS a JOIN services AS s
        ON s.hadm_id = a.hadm_id AND s.transfertime < a.cut
        AND (upper(s.curr_service) LIKE '%SURG%' OR s.curr_service = 'ORTHO')
),
surgery AS (
    SELECT
        a.episode_id,
        CASE
            WHEN a.admission_type IS NULL THEN NULL
            WHEN
                a.admission_type IN ('ELECTIVE', 'SURGICAL SAME DAY ADMISSION')
                AND s.episode_id IS NOT NULL
            THEN 0
            ELSE 6
        END AS no_elective_surgery
    FROM asked AS a LEFT JOIN surgical AS s USING (episode_id)
)
SELECT
    a.episode_id, before_icu.before_icu, age.age, consciousness.consciousness, v.heart_rate,
    v.pressure, v.respiratory_rate, v.temperature, diuresis.urine,
    CASE WHEN ventilation.episode_id IS NULL THEN 0 ELSE 9 END AS ventilation,
    surgery.no_elective_surgery
FROM asked AS a
LEFT JOIN before_icu USING (episode_id)
LEFT JOIN age USING (episode_id)
LEFT JOIN consciousness USING (episode_id)
LEFT JOIN charted_vitals AS v USING (episode_id)
LEFT JOIN ventilation USING (episode_id)
LEFT JOIN diuresis USING (episode_id)
LEFT JOIN surgery USING (episode_id)
ORDER BY a.episode_id
