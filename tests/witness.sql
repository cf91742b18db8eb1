-- Who is eligible for each task, and who is positive: a second reading, written from the
-- definitions alone (the sheets of the papers and the tasks' descriptions), without a look at the
-- pipeline.
-- Tables: admissions, patients, icustays, chartevents, inputevents, procedureevents, diagnoses_icd,
-- as the source has them. Makes: witness (task, episode_id, eligible, label).

CREATE TEMP TABLE stay AS
WITH heart_rate AS (
    SELECT stay_id, MIN(charttime) AS first_rate FROM chartevents WHERE itemid = 220045 GROUP BY 1
)
SELECT
    i.stay_id, i.hadm_id, i.intime, i.outtime, a.deathtime,
    GREATEST(i.intime, h.first_rate) AS t0,
    CASE
        WHEN a.hospital_expire_flag IS NOT NULL THEN a.hospital_expire_flag
        WHEN a.deathtime IS NOT NULL OR a.discharge_location = 'DIED' THEN 1
        ELSE 0
    END AS died,
    i.hadm_id IN (SELECT hadm_id FROM diagnoses_icd) AS coded
FROM icustays AS i
JOIN admissions AS a USING (hadm_id)
JOIN patients AS p ON p.subject_id = i.subject_id
JOIN heart_rate AS h USING (stay_id)
WHERE i.intime < i.outtime AND p.anchor_age + YEAR(a.admittime) - p.anchor_year >= 18;

CREATE TEMP TABLE onset AS
WITH marks AS (
    SELECT 'arf' AS event, stay_id, hadm_id, charttime AS t FROM chartevents WHERE itemid = 220339
    UNION ALL
    SELECT 'arf', stay_id, hadm_id, starttime FROM procedureevents WHERE itemid IN (225792, 225794)
    UNION ALL
    SELECT 'shock', stay_id, hadm_id, starttime FROM inputevents
    WHERE amount > 0 AND statusdescription IS DISTINCT FROM 'Rewritten'
        AND itemid IN (221906, 221289, 229617, 221662, 222315, 221749, 229630, 229631, 229632)
)
SELECT event, stay_id, MIN(t) AS t
FROM (
    SELECT m.event, s.stay_id, m.t FROM marks AS m JOIN stay AS s USING (stay_id)
    WHERE m.t <= s.outtime
    UNION ALL
    SELECT m.event, s.stay_id, m.t FROM marks AS m
    JOIN stay AS s ON m.stay_id IS NULL AND m.hadm_id = s.hadm_id
    WHERE m.t >= s.intime AND m.t < s.outtime
)
GROUP BY ALL;

CREATE TEMP TABLE hospitalisation AS
WITH earlier AS (
    SELECT
        *,
        MAX(dischtime) OVER (
            PARTITION BY subject_id ORDER BY admittime, hadm_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS left_before
    FROM admissions
),
numbered AS (
    SELECT
        *,
        SUM(CASE WHEN left_before IS NULL OR admittime::DATE > left_before::DATE THEN 1 ELSE 0 END)
            OVER (PARTITION BY subject_id ORDER BY admittime, hadm_id) AS number
    FROM earlier
),
joined AS (
    SELECT
        subject_id, number,
        MIN(admittime) AS begins, MAX(dischtime) AS ends, MAX(hospital_expire_flag) AS dies
    FROM numbered
    GROUP BY ALL
)
SELECT
    n.hadm_id, j.ends, j.dies,
    (
        SELECT MIN(k.begins) FROM joined AS k
        WHERE k.subject_id = j.subject_id AND k.number > j.number
    ) AS next_begins
FROM numbered AS n
JOIN joined AS j USING (subject_id, number);

CREATE TEMP TABLE admission AS
WITH icu AS (SELECT hadm_id, MIN(intime) AS first_in FROM icustays GROUP BY 1)
SELECT
    a.hadm_id, a.admittime, a.dischtime, a.hospital_expire_flag AS died,
    h.ends, h.dies, h.next_begins,
    a.dischtime > a.admittime + INTERVAL 48 HOUR
    AND (a.deathtime IS NULL OR a.deathtime > a.admittime + INTERVAL 48 HOUR) AS there
FROM admissions AS a
JOIN patients AS p USING (subject_id)
JOIN icu AS i USING (hadm_id)
JOIN hospitalisation AS h USING (hadm_id)
WHERE p.anchor_age + YEAR(a.admittime) - p.anchor_year >= 18
    AND i.first_in <= a.admittime + INTERVAL 48 HOUR;

CREATE TEMP TABLE witness AS
WITH asked (task, event, hours) AS (
    VALUES ('shock_4h', 'shock', 4), ('shock_12h', 'shock', 12), ('arf_4h', 'arf', 4),
        ('arf_12h', 'arf', 12), ('mortality_48h', 'death', 48), ('diagnoses_48h', 'codes', 48)
),
timed AS (
    SELECT
        a.task, a.event, s.stay_id, s.died, s.coded, o.t,
        s.t0 + TO_HOURS(a.hours) AS predicted, s.outtime, s.deathtime
    FROM asked AS a CROSS JOIN stay AS s
    LEFT JOIN onset AS o ON o.stay_id = s.stay_id AND o.event = a.event
),
judged AS (
    SELECT
        *,
        (deathtime IS NULL OR deathtime > predicted) AND outtime > predicted
        AND (t IS NULL OR t >= predicted) AND (event <> 'codes' OR coded) AS eligible
    FROM timed
)
SELECT
    task, stay_id AS episode_id, eligible,
    CASE
        WHEN eligible AND event = 'death' THEN died
        WHEN eligible AND event <> 'codes' THEN (t IS NOT NULL)::INT
    END AS label
FROM judged
UNION ALL
SELECT 'mortality', hadm_id, there, CASE WHEN there THEN died END FROM admission
UNION ALL
SELECT
    'longstay', hadm_id, there,
    CASE WHEN there THEN (dischtime > admittime + INTERVAL 168 HOUR)::INT END
FROM admission
UNION ALL
SELECT
    'readmission', hadm_id, there AND died = 0 AND dies = 0,
    CASE
        WHEN there AND died = 0 AND dies = 0
        THEN COALESCE(next_begins <= ends + INTERVAL 720 HOUR, FALSE)::INT
    END
FROM admission;
