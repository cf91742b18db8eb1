-- SOFA and OASIS of ICU stays after 24 hours: a second reading, from the facts of mimic-code's
-- concepts (vitalsign, gcs, bg, enzyme, chemistry, complete_blood_count, vasoactive_agent,
-- urine_output, ventilation, age, first_day_sofa, sofa, oasis), in own words.
-- Tables: stays (stay_id, subject_id, hadm_id, since, t, intime), and of the source chartevents,
-- labevents, inputevents, outputevents, admissions, patients, services.
-- mimic-code asks from 6 hours before intime, or from the first whole hour, to 24 hours after; here
-- each concept is asked within [since, t). Rows are those of the stay (vitals, drugs, urine) or of
-- the patient (blood), as there. Makes: witness (episode_id, and a column per component).

CREATE TEMP TABLE vital AS
SELECT
    stay_id, charttime,
    AVG(CASE WHEN itemid = 220045 AND valuenum > 0 AND valuenum < 300 THEN valuenum END) AS hr,
    AVG(CASE WHEN itemid IN (220052, 220181, 225312) AND valuenum > 0 AND valuenum < 300
        THEN valuenum END) AS mbp,
    AVG(CASE WHEN itemid IN (220210, 224690) AND valuenum > 0 AND valuenum < 70
        THEN valuenum END) AS rr,
    ROUND(AVG(CASE
        WHEN itemid = 223761 AND valuenum > 70 AND valuenum < 120 THEN (valuenum - 32) / 1.8
        WHEN itemid = 223762 AND valuenum > 10 AND valuenum < 50 THEN valuenum
    END), 2) AS temp
FROM chartevents
WHERE itemid IN (220045, 220052, 220181, 225312, 220210, 224690, 223761, 223762)
GROUP BY stay_id, charttime;

CREATE TEMP TABLE extremes AS
SELECT
    s.stay_id, MIN(hr) AS hr0, MAX(hr) AS hr1, MIN(mbp) AS bp0, MAX(mbp) AS bp1,
    MIN(rr) AS rr0, MAX(rr) AS rr1, MIN(temp) AS temp0, MAX(temp) AS temp1
FROM stays AS s LEFT JOIN vital AS v
    ON v.stay_id = s.stay_id AND v.charttime >= s.since AND v.charttime < s.t
GROUP BY s.stay_id;

CREATE TEMP TABLE coma AS
WITH one AS (
    SELECT
        stay_id, charttime,
        MAX(valuenum) FILTER (itemid = 223901) AS m,
        MAX(CASE WHEN value = 'No Response-ETT' THEN 0 ELSE valuenum END)
            FILTER (itemid = 223900) AS v,
        MAX(valuenum) FILTER (itemid = 220739) AS e,
        ROW_NUMBER() OVER (PARTITION BY stay_id ORDER BY charttime) AS n
    FROM chartevents
    WHERE itemid IN (223900, 223901, 220739)
    GROUP BY stay_id, charttime
),
whole AS (
    SELECT
        a.stay_id, a.charttime,
        CASE
            WHEN a.v = 0 OR a.v IS NULL AND b.v = 0 THEN 15
            WHEN b.v = 0 THEN COALESCE(a.m, 6) + COALESCE(a.v, 5) + COALESCE(a.e, 4)
            ELSE COALESCE(a.m, b.m, 6) + COALESCE(a.v, b.v, 5) + COALESCE(a.e, b.e, 4)
        END AS gcs
    FROM one AS a LEFT JOIN one AS b
        ON b.stay_id = a.stay_id AND b.n = a.n - 1
        AND b.charttime > a.charttime - INTERVAL 6 HOUR
)
SELECT s.stay_id, MIN(gcs) AS gcs
FROM stays AS s LEFT JOIN whole AS w
    ON w.stay_id = s.stay_id AND w.charttime >= s.since AND w.charttime < s.t
GROUP BY s.stay_id;

CREATE TEMP TABLE mode AS
SELECT
    stay_id, charttime,
    LAG(charttime) OVER (PARTITION BY stay_id ORDER BY charttime) AS before,
    LEAD(charttime) OVER (PARTITION BY stay_id ORDER BY charttime) AS after
FROM chartevents
WHERE itemid IN (223849, 229314) AND value IN (SELECT mode FROM invasive_modes)
GROUP BY stay_id, charttime;

-- A run: invasive modes that are less than 14 hours apart (no other status is in this source); one
-- of a single row is none, and it ends with its last row.
CREATE TEMP TABLE run AS
WITH counted AS (
    SELECT
        *,
        SUM((before IS NULL OR DATE_DIFF('hour', before, charttime) >= 14)::INT)
            OVER (PARTITION BY stay_id ORDER BY charttime) AS number
    FROM mode
)
SELECT stay_id, MIN(charttime) AS begins, MAX(charttime) AS ends
FROM counted
GROUP BY stay_id, number
HAVING MIN(charttime) <> MAX(charttime);

CREATE TEMP TABLE oxygenation AS
WITH sample AS (
    SELECT
        specimen_id, MAX(subject_id) AS subject_id, MAX(charttime) AS charttime,
        MAX(valuenum) FILTER (itemid = 50821) AS po2,
        MAX(CASE
            WHEN valuenum > 20 AND valuenum <= 100 THEN valuenum
            WHEN valuenum > 0.2 AND valuenum <= 1 THEN valuenum * 100
        END) FILTER (itemid = 50816) AS fio2,
        MAX(value) FILTER (itemid = 52033) AS specimen
    FROM labevents
    WHERE itemid IN (50821, 50816, 52033)
    GROUP BY specimen_id
),
chart AS (
    SELECT
        subject_id, charttime,
        MAX(CASE
            WHEN valuenum > 0.2 AND valuenum <= 1 THEN valuenum * 100
            WHEN valuenum >= 20 AND valuenum <= 100 THEN valuenum
        END) AS fio2
    FROM chartevents
    WHERE itemid = 223835
    GROUP BY subject_id, charttime
),
nearest AS (
    SELECT s.specimen_id, MAX_BY(c.fio2, c.charttime) AS fio2
    FROM sample AS s JOIN chart AS c
        ON c.subject_id = s.subject_id AND c.fio2 IS NOT NULL
        AND c.charttime BETWEEN s.charttime - INTERVAL 4 HOUR AND s.charttime
    GROUP BY s.specimen_id
),
ratio AS (
    SELECT s.subject_id, s.charttime, 100 * s.po2 / COALESCE(s.fio2, n.fio2) AS pf
    FROM sample AS s LEFT JOIN nearest AS n USING (specimen_id)
    WHERE s.specimen = 'ART.' AND s.po2 IS NOT NULL
)
SELECT
    s.stay_id,
    MIN(pf) FILTER (r.stay_id IS NULL) AS free,
    MIN(pf) FILTER (r.stay_id IS NOT NULL) AS ventilated
FROM stays AS s
JOIN ratio AS p ON p.subject_id = s.subject_id AND p.charttime >= s.since AND p.charttime < s.t
LEFT JOIN run AS r ON r.stay_id = s.stay_id AND p.charttime BETWEEN r.begins AND r.ends
GROUP BY s.stay_id;

CREATE TEMP TABLE blood AS
SELECT
    s.stay_id,
    MIN(valuenum) FILTER (itemid = 51265) AS platelets,
    MAX(valuenum) FILTER (itemid = 50885) AS bilirubin,
    MAX(valuenum) FILTER (itemid = 50912 AND valuenum <= 150) AS creatinine
FROM stays AS s JOIN labevents AS l
    ON l.subject_id = s.subject_id AND l.charttime >= s.since AND l.charttime < s.t
WHERE valuenum > 0
GROUP BY s.stay_id;

CREATE TEMP TABLE vasoactive AS
SELECT
    s.stay_id,
    MAX(rate) FILTER (itemid = 221906) AS norepinephrine,
    MAX(rate) FILTER (itemid = 221289) AS epinephrine,
    MAX(rate) FILTER (itemid = 221662) AS dopamine,
    MAX(rate) FILTER (itemid = 221653) AS dobutamine
FROM stays AS s JOIN inputevents AS i
    ON i.stay_id = s.stay_id AND i.starttime < s.t AND i.endtime > s.since
GROUP BY s.stay_id;

CREATE TEMP TABLE output AS
SELECT s.stay_id, SUM(CASE WHEN itemid = 227488 AND value > 0 THEN -value ELSE value END) AS ml
FROM stays AS s JOIN outputevents AS o
    ON o.stay_id = s.stay_id AND o.charttime >= s.since AND o.charttime < s.t
WHERE itemid IN (226557, 226558, 226559, 226560, 226561, 226563, 226564, 226565, 226567, 226584,
    227488, 227489)
GROUP BY s.stay_id;

CREATE TEMP TABLE facts AS
SELECT
    s.*, x.* EXCLUDE (stay_id), c.gcs, p.free, p.ventilated, b.* EXCLUDE (stay_id),
    v.* EXCLUDE (stay_id), o.ml, a.admission_type,
    DATE_DIFF('minute', a.admittime, s.intime) AS before_icu,
    q.anchor_age + YEAR(a.admittime) - q.anchor_year AS age,
    EXISTS (
        SELECT 1 FROM services AS w
        WHERE w.hadm_id = s.hadm_id AND w.transfertime < s.t
            AND (LOWER(w.curr_service) LIKE '%surg%' OR w.curr_service = 'ORTHO')
    ) AS surgical,
    EXISTS (
        SELECT 1 FROM run AS r WHERE r.stay_id = s.stay_id AND r.begins < s.t AND r.ends >= s.since
    ) AS on_ventilator
FROM stays AS s
JOIN admissions AS a USING (hadm_id)
JOIN patients AS q ON q.subject_id = s.subject_id
LEFT JOIN extremes AS x ON x.stay_id = s.stay_id
LEFT JOIN coma AS c ON c.stay_id = s.stay_id
LEFT JOIN oxygenation AS p ON p.stay_id = s.stay_id
LEFT JOIN blood AS b ON b.stay_id = s.stay_id
LEFT JOIN vasoactive AS v ON v.stay_id = s.stay_id
LEFT JOIN output AS o ON o.stay_id = s.stay_id;

CREATE TEMP TABLE witness AS
SELECT
    stay_id AS episode_id,
    CASE
        WHEN ventilated < 100 THEN 4
        WHEN ventilated < 200 THEN 3
        WHEN free < 300 OR ventilated < 300 THEN 2
        WHEN free < 400 OR ventilated < 400 THEN 1
        WHEN COALESCE(ventilated, free) IS NOT NULL THEN 0
    END AS respiration,
    CASE WHEN platelets < 20 THEN 4 WHEN platelets < 50 THEN 3 WHEN platelets < 100 THEN 2
        WHEN platelets < 150 THEN 1 WHEN platelets IS NOT NULL THEN 0 END AS coagulation,
    CASE WHEN bilirubin >= 12 THEN 4 WHEN bilirubin >= 6 THEN 3 WHEN bilirubin >= 2 THEN 2
        WHEN bilirubin >= 1.2 THEN 1 WHEN bilirubin IS NOT NULL THEN 0 END AS liver,
    CASE
        WHEN dopamine > 15 OR epinephrine > 0.1 OR norepinephrine > 0.1 THEN 4
        WHEN dopamine > 5 OR epinephrine > 0 OR norepinephrine > 0 THEN 3
        WHEN dopamine > 0 OR dobutamine > 0 THEN 2
        WHEN bp0 < 70 THEN 1
        WHEN bp0 IS NOT NULL THEN 0
    END AS cardiovascular,
    CASE WHEN gcs >= 15 THEN 0 WHEN gcs >= 13 THEN 1 WHEN gcs >= 10 THEN 2 WHEN gcs >= 6 THEN 3
        WHEN gcs IS NOT NULL THEN 4 END AS cns,
    CASE
        WHEN creatinine >= 5 OR ml < 200 THEN 4
        WHEN creatinine >= 3.5 OR ml < 500 THEN 3
        WHEN creatinine >= 2 THEN 2
        WHEN creatinine >= 1.2 THEN 1
        WHEN COALESCE(ml, creatinine) IS NOT NULL THEN 0
    END AS renal,
    CASE WHEN before_icu < 10.2 THEN 5 WHEN before_icu < 297 THEN 3 WHEN before_icu < 1440 THEN 0
        WHEN before_icu < 18708 THEN 2 ELSE 1 END AS before_icu,
    CASE WHEN age < 24 THEN 0 WHEN age <= 53 THEN 3 WHEN age <= 77 THEN 6 WHEN age <= 89 THEN 9
        ELSE 7 END AS age,
    CASE WHEN gcs <= 7 THEN 10 WHEN gcs < 14 THEN 4 WHEN gcs = 14 THEN 3 WHEN gcs > 14 THEN 0 END
        AS consciousness,
    CASE WHEN hr1 > 125 THEN 6 WHEN hr0 < 33 THEN 4 WHEN hr1 >= 107 THEN 3
        WHEN hr1 >= 89 AND hr1 <= 106 THEN 1 WHEN hr1 IS NOT NULL THEN 0 END AS heart_rate,
    CASE WHEN bp0 < 20.65 THEN 4 WHEN bp0 < 51 OR bp1 > 143.44 THEN 3 WHEN bp0 < 61.33 THEN 2
        WHEN bp0 IS NOT NULL THEN 0 END AS pressure,
    CASE WHEN rr0 < 6 THEN 10 WHEN rr1 > 44 THEN 9 WHEN rr1 > 30 THEN 6
        WHEN rr1 > 22 OR rr0 < 13 THEN 1 WHEN rr0 IS NOT NULL THEN 0 END AS respiratory_rate,
    CASE
        WHEN temp1 > 39.88 THEN 6
        WHEN temp0 BETWEEN 33.22 AND 35.93 OR temp1 BETWEEN 33.22 AND 35.93 THEN 4
        WHEN temp0 < 33.22 THEN 3
        WHEN temp0 > 35.93 AND temp0 <= 36.39 THEN 2
        WHEN temp1 >= 36.89 THEN 2
        WHEN temp1 IS NOT NULL THEN 0
    END AS temperature,
    CASE WHEN ml < 671.09 THEN 10 WHEN ml > 6896.80 THEN 8 WHEN ml <= 1426.99 THEN 5
        WHEN ml >= 1427 AND ml <= 2544.14 THEN 1 WHEN ml IS NOT NULL THEN 0 END AS urine,
    CASE WHEN on_ventilator THEN 9 ELSE 0 END AS ventilation,
    CASE WHEN admission_type = 'ELECTIVE' AND surgical THEN 0 WHEN admission_type IS NOT NULL
        THEN 6 END AS no_elective_surgery
FROM facts;
