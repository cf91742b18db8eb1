-- What clinical scores share: who is asked when, and what was charted by then. One row per episode
-- in asked, gcs, urine and vitals; rows of the source in charted; runs in ventilated.
-- Tables: chartevents, outputevents, icustays. Views: episodes. Macro: intubated (signals.py).
-- The field admissions is observed.sql of the room stage, the others are those of events.sql;
-- {hours} from clock zero to T, the prediction time.
-- A row counts that was charted in the 24 hours before T, within the observation of the admission,
-- and KNOWN before T: as in events.sql what becomes known at T itself is not known before it.
-- Definitions: Vincent et al. 1996 (SOFA), Johnson et al. 2013 (OASIS). Items, plausible limits and
-- how rows of one time are joined: mimic-code's concepts vitalsign, gcs, urine_output, ventilation.
CREATE TEMP TABLE asked AS
WITH admissions AS (
    {admissions}
),
timed AS (
    SELECT
        e.episode_id, e.subject_id, e.hadm_id, e.stay_id, e.age, e.admission_type, e.clock_zero,
        a.since AS observed_from, a.next_from,
        least(e.prediction_time, e.clock_zero + to_hours({hours})) AS predicted,
        CASE
            WHEN e.clock_zero + to_hours({hours}) < e.prediction_time
            THEN e.clock_zero + to_hours({hours})
            ELSE e.{cut}
        END AS cut
    FROM episodes AS e JOIN admissions AS a USING (subject_id, hadm_id)
)
SELECT *, greatest(observed_from, predicted - INTERVAL 24 HOUR) AS since FROM timed;

-- Values outside low and high are typing errors: they count as not charted.
CREATE TEMP TABLE items AS
FROM (
    VALUES
    (220045, 'heart rate', 0, 300),
    (220052, 'mean pressure', 0, 300), -- arterial line
    (220181, 'mean pressure', 0, 300), -- cuff
    (225312, 'mean pressure', 0, 300), -- second arterial line
    (220210, 'respiratory rate', 0, 70),
    (224690, 'respiratory rate', 0, 70), -- ventilator
    (223761, 'fahrenheit', 70, 120),
    (223762, 'celsius', 10, 50),
    (220739, 'eyes', NULL, NULL),
    (223900, 'verbal', NULL, NULL),
    (223901, 'motor', NULL, NULL),
    (223835, 'oxygen share', NULL, NULL),
    (223849, 'mode', NULL, NULL), -- text
    (229314, 'mode', NULL, NULL), -- Hamilton's, text
    (226732, 'device', NULL, NULL) -- text
) AS items (itemid, name, low, high);

-- Rows that the source repeats count once. They reach back further than 24 hours, as far as a mode
-- of ventilation is trusted.
CREATE TEMP TABLE charted AS
WITH readings AS (
    SELECT *, greatest(charttime, {known_vitals}) AS known, {stands_in_vitals} AS stood_in
    FROM chartevents
)
SELECT DISTINCT
    a.episode_id, a.since, r.stay_id, r.charttime, r.itemid, i.name, r.value AS words, r.stood_in,
    r.valuenum <= i.low OR r.valuenum >= i.high AS outside,
    CASE WHEN outside THEN NULL ELSE r.valuenum END AS value
FROM readings AS r JOIN items AS i USING (itemid) JOIN asked AS a USING (hadm_id)
WHERE r.charttime >= greatest(a.observed_from, a.since - INTERVAL 14 HOUR)
    AND r.charttime < a.cut AND r.known < a.cut;

-- ASSUME readings of one time by several devices (cuff and arterial line) count as their mean.
CREATE TEMP VIEW vitals AS
WITH together AS (
    SELECT
        episode_id, charttime,
        round(avg(value) FILTER (name = 'heart rate'), 4) AS heart_rate,
        round(avg(value) FILTER (name = 'mean pressure'), 4) AS pressure,
        round(avg(value) FILTER (name = 'respiratory rate'), 4) AS rate,
        round(
            avg(CASE name WHEN 'celsius' THEN value WHEN 'fahrenheit' THEN (value - 32) / 1.8 END),
            2
        ) AS temperature
    FROM charted
    WHERE charttime >= since
    GROUP BY ALL
)
SELECT
    episode_id,
    min(heart_rate) AS heart_rate_min, max(heart_rate) AS heart_rate_max,
    min(pressure) AS pressure_min, max(pressure) AS pressure_max,
    min(rate) AS rate_min, max(rate) AS rate_max,
    min(temperature) AS temperature_min, max(temperature) AS temperature_max
FROM together
GROUP BY episode_id;

-- ASSUME a part of the Glasgow Coma Scale that is not charted is what it was the time before, if
-- that was less than 6 hours earlier, else normal.
-- ASSUME who cannot speak for a tube is awake (15): sedation is no failure of the brain. The other
-- parts charted with a tube tell nothing of the time without it.
CREATE TEMP VIEW gcs AS
WITH scales AS (
    SELECT
        episode_id, since, charttime,
        max(value) FILTER (name = 'motor') AS motor,
        max(value) FILTER (name = 'eyes') AS eyes,
        max(CASE WHEN intubated(itemid, words) THEN 0 ELSE value END)
            FILTER (name = 'verbal') AS verbal
    FROM charted
    WHERE name IN ('motor', 'eyes', 'verbal')
    GROUP BY ALL
),
earlier AS (
    SELECT
        *,
        lag(charttime) OVER charting > charttime - INTERVAL 6 HOUR AS recent,
        CASE WHEN recent THEN lag(motor) OVER charting END AS motor_before,
        CASE WHEN recent THEN lag(eyes) OVER charting END AS eyes_before,
        CASE WHEN recent THEN lag(verbal) OVER charting END AS verbal_before
    FROM scales
    WINDOW charting AS (PARTITION BY episode_id ORDER BY charttime)
),
summed AS (
    SELECT
        *,
        CASE
            WHEN coalesce(verbal, verbal_before) = 0 THEN 15
            WHEN verbal_before = 0 THEN coalesce(motor, 6) + verbal + coalesce(eyes, 4)
            ELSE
                coalesce(motor, motor_before, 6) + coalesce(verbal, verbal_before, 5)
                + coalesce(eyes, eyes_before, 4)
        END AS scale
    FROM earlier
)
SELECT episode_id, min(scale) AS gcs_min FROM summed WHERE charttime >= since GROUP BY episode_id;

-- Runs on a ventilator through a tube. When a mode ends is not known before the next is charted:
-- ASSUME it holds until then, for 14 hours at most, and at T by the last that was known.
-- ASSUME a mode of a ventilator counts whatever the tube, a tracheostomy too; a mask does not, nor
-- do SPONT and CPAP, which are modes of both.
CREATE TEMP VIEW ventilated AS
WITH marks AS (
    SELECT
        episode_id, charttime,
        bool_or(
            name = 'mode' AND regexp_matches(
                words,
                'CMV|SIMV|APV|APRV|PCV|PRVC|MMV|PSV|CPAP/|/AC$|^ASV|^VS$|^SYNCHRON|^Ambient|^Apnea'
            )
            OR name = 'device' AND words = 'Endotracheal tube'
        ) AS invasive,
        bool_or(
            name = 'mode' AND regexp_matches(words, '^NIV|DuoPaP')
            OR name = 'device' AND words <> 'Other'
        ) AS other
    FROM charted
    WHERE name IN ('mode', 'device')
    GROUP BY ALL
),
runs AS (
    SELECT
        episode_id, invasive, charttime AS begun,
        coalesce(
            least(lead(charttime) OVER charting, charttime + INTERVAL 14 HOUR),
            charttime + INTERVAL 14 HOUR
        ) AS ended
    FROM marks
    WHERE invasive OR other
    WINDOW charting AS (PARTITION BY episode_id ORDER BY charttime)
)
SELECT episode_id, begun, ended FROM runs WHERE invasive;

-- Urine in 24 hours (ml), irrigation netted: 227488 goes in, 227489 is what comes out.
-- It is measured in an ICU alone.
-- ASSUME of a patient there for part of the 24 hours (hours begun) what was measured tells the
-- rest, from 12 hours on; less tells nothing.
CREATE TEMP VIEW urine AS
WITH outputs AS (
    SELECT *, greatest(charttime, {known_outputs}) AS known FROM outputevents
    WHERE itemid IN (
        226557, 226558, 226559, 226560, 226561, 226563, 226564, 226565, 226567, 226584, 227488,
        227489
    )
),
measured AS (
    SELECT DISTINCT
        a.episode_id, o.charttime, o.known, o.itemid,
        CASE WHEN o.itemid = 227488 AND o.value > 0 THEN -o.value ELSE o.value END AS ml
    FROM outputs AS o JOIN asked AS a USING (hadm_id)
    WHERE o.charttime >= a.since AND o.charttime < a.cut AND o.known < a.cut
),
arrived AS (
    SELECT episode_id, stay_id, min(charttime) AS first_heart_rate
    FROM charted
    WHERE name = 'heart rate'
    GROUP BY ALL
),
presence AS (
    SELECT
        a.episode_id,
        ceil(sum(greatest(0, date_diff(
            'second',
            greatest(a.since, i.intime, arrived.first_heart_rate),
            least(a.cut, i.outtime)
        ))) / 3600) AS hours
    FROM asked AS a JOIN icustays AS i USING (hadm_id) LEFT JOIN arrived
        ON arrived.episode_id = a.episode_id AND arrived.stay_id = i.stay_id
    WHERE i.intime < a.cut
    GROUP BY a.episode_id
)
SELECT episode_id, CASE WHEN hours >= 12 THEN sum(ml) * 24 / hours END AS ml
FROM measured JOIN presence USING (episode_id)
GROUP BY episode_id, hours;
