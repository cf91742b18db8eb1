-- Events of every episode, whatever the task: one row per reading or running interval that was
-- KNOWN by the cut (the prediction time, unless the availability rule is switched off).
-- Views: episodes, catalogue, chartevents, labevents, outputevents, procedureevents,
-- inputevents, d_items, d_labitems (views). The known_… fields are the time columns of the availability
-- table of the config; the cut is the prediction time or (rule off) long after it.
WITH windows AS (
    SELECT episode_id, subject_id, hadm_id, start, observed_from, {cut} AS cut FROM episodes
),
-- Labels, not item ids: releases add ids for the same signal. Labs: blood only, as in HAIM.
items AS (
    SELECT c.*, d.itemid FROM catalogue AS c JOIN d_items AS d ON d.label = c.label
    WHERE c.source <> 'labevents' AND d.linksto = c.source
    UNION ALL
    SELECT c.*, d.itemid FROM catalogue AS c JOIN d_labitems AS d ON d.label = c.label
    WHERE c.source = 'labevents' AND d.fluid = 'Blood'
),
readings AS (
    SELECT hadm_id, subject_id, charttime, {known_vitals} AS known, itemid, valuenum AS value
    FROM chartevents
    UNION ALL
    SELECT hadm_id, subject_id, charttime, {known_outputs} AS known, itemid, value FROM outputevents
),
-- A lab without hadm_id (drawn in the emergency department) belongs to the admission whose
-- observation it falls into.
labs AS (
    SELECT hadm_id, subject_id, charttime, {known_labs} AS known, itemid, valuenum AS value
    FROM labevents
),
timed AS (
    SELECT w.episode_id, w.start, w.cut, r.charttime, r.known, r.itemid, r.value
    FROM readings AS r JOIN windows AS w ON w.hadm_id = r.hadm_id
    WHERE r.charttime > w.observed_from AND r.charttime <= w.cut
    UNION ALL
    SELECT w.episode_id, w.start, w.cut, l.charttime, l.known, l.itemid, l.value
    FROM labs AS l JOIN windows AS w
        ON w.subject_id = l.subject_id AND (l.hadm_id IS NULL OR l.hadm_id = w.hadm_id)
    WHERE l.charttime > w.observed_from AND l.charttime <= w.cut
),
-- What was known: stored by the cut. Values that no living body shows are typing errors.
points AS (
    SELECT t.episode_id, i.kind, i.signal,
        CAST(date_diff('minute', t.start, t.charttime) AS INTEGER) AS minute,
        CAST(NULL AS INTEGER) AS end_minute,
        round(t.value * i.scale + i.shift, 4) AS value
    FROM timed AS t JOIN items AS i USING (itemid)
    WHERE t.known <= t.cut AND t.value * i.scale + i.shift BETWEEN i.low AND i.high
),
-- Infusions, ventilation and lines are known from their start: that they run. Their end and amount
-- are known only after it, so an interval still running at the cut has no end.
started AS (
    SELECT hadm_id, itemid, starttime, endtime, {known_procedures} AS known FROM procedureevents
    WHERE coalesce(statusdescription, '') <> 'Rewritten'
    UNION ALL
    SELECT hadm_id, itemid, starttime, endtime, {known_infusions} AS known FROM inputevents
    WHERE amount > 0 AND coalesce(statusdescription, '') <> 'Rewritten'
),
intervals AS (
    SELECT w.episode_id, i.kind, i.signal,
        CAST(date_diff('minute', w.start, s.starttime) AS INTEGER) AS minute,
        CASE WHEN s.endtime <= w.cut
            THEN CAST(date_diff('minute', w.start, s.endtime) AS INTEGER) END AS end_minute,
        CAST(NULL AS DOUBLE) AS value
    FROM started AS s JOIN windows AS w USING (hadm_id) JOIN items AS i USING (itemid)
    WHERE s.starttime > w.observed_from AND s.starttime <= w.cut AND s.known <= w.cut
)
-- DISTINCT: rows are duplicated in the source; a reading twice is one reading.
SELECT DISTINCT episode_id, minute, end_minute, kind, signal, value
FROM (SELECT * FROM points UNION ALL SELECT * FROM intervals)
ORDER BY ALL
