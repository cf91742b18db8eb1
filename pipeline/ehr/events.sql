-- Events of every episode, whatever the task: one row per reading or running interval that was
-- KNOWN before the cut (the prediction time, unless the availability rule is switched off): what
-- becomes known at the prediction time itself is not known before it.
-- Views: episodes, catalogue, chartevents, labevents, outputevents, procedureevents, inputevents,
-- d_items, d_labitems. Macro: intubated (signals.py). The known_… fields are the time columns of
-- the config's availability table, the stands_in_… fields say that the first of them is null.
WITH windows AS (
    SELECT
        episode_id, subject_id, hadm_id, start, observed_from, {cut} AS cut,
        lead(observed_from) OVER (
            PARTITION BY subject_id ORDER BY observed_from, hadm_id
        ) AS next_from
    FROM episodes
),
-- By label, unless the catalogue names an item id: releases add ids for the same signal. Labs:
-- blood only, as in HAIM.
items AS (
    SELECT * FROM catalogue WHERE itemid IS NOT NULL
    UNION ALL
    SELECT c.* REPLACE (d.itemid AS itemid) FROM catalogue AS c JOIN d_items AS d USING (label)
    WHERE c.itemid IS NULL AND d.linksto = c.source
    UNION ALL
    SELECT c.* REPLACE (d.itemid AS itemid) FROM catalogue AS c JOIN d_labitems AS d USING (label)
    WHERE c.itemid IS NULL AND c.source = 'labevents' AND d.fluid = 'Blood'
),
-- words: a text that is a signal of its own, and no number of the item's other signal.
readings AS (
    SELECT
        hadm_id, charttime, itemid, valuenum AS value,
        CASE WHEN intubated(itemid, chartevents.value) THEN 'No Response-ETT' END AS words,
        {known_vitals} AS known, {stands_in_vitals} AS stood_in
    FROM chartevents
    UNION ALL
    SELECT
        hadm_id, charttime, itemid, value, NULL AS words,
        {known_outputs} AS known, {stands_in_outputs} AS stood_in
    FROM outputevents
),
labs AS (
    SELECT
        subject_id, hadm_id, charttime, itemid, valuenum AS value, NULL AS words,
        {known_labs} AS known, {stands_in_labs} AS stood_in
    FROM labevents
),
-- A lab without hadm_id (drawn in the emergency department) belongs to the one admission whose
-- observation it falls into: the latest that had begun.
timed AS (
    SELECT w.*, r.* EXCLUDE (hadm_id)
    FROM readings AS r JOIN windows AS w ON w.hadm_id = r.hadm_id
    UNION ALL
    SELECT w.*, l.* EXCLUDE (subject_id, hadm_id)
    FROM labs AS l JOIN windows AS w
        ON w.subject_id = l.subject_id
        AND (
            l.hadm_id = w.hadm_id
            OR l.hadm_id IS NULL AND (w.next_from IS NULL OR l.charttime < w.next_from)
        )
),
-- What was known: read in the observation and stored before the cut.
converted AS (
    SELECT
        t.episode_id, i.kind, i.signal, i.low, i.high, t.stood_in,
        CAST(floor(date_diff('second', t.start, t.charttime) / 60) AS INTEGER) AS minute,
        CASE
            WHEN i.words IS NOT NULL THEN 1
            ELSE round(t.value * i.scale + i.shift, 4)
        END AS value
    FROM timed AS t JOIN items AS i
        ON i.itemid = t.itemid AND i.words IS NOT DISTINCT FROM t.words
    WHERE t.charttime >= t.observed_from AND t.charttime < t.cut AND t.known < t.cut
),
-- Values that no living body shows are typing errors: the reader counts and drops them.
points AS (
    SELECT
        episode_id, minute, CAST(NULL AS INTEGER) AS end_minute, kind, signal, value, stood_in,
        value NOT BETWEEN low AND high AS outside
    FROM converted
    WHERE value IS NOT NULL
),
-- Infusions, ventilation and lines are known from their start: that they run. Their end and amount
-- are known only after it: an interval still running at the cut has no end, and that it will turn
-- out void (nothing given, or rewritten) is not known yet.
started AS (
    SELECT
        hadm_id, itemid, starttime, endtime,
        {known_procedures} AS known, {stands_in_procedures} AS stood_in,
        coalesce(statusdescription, '') = 'Rewritten' AS void
    FROM procedureevents
    UNION ALL
    SELECT
        hadm_id, itemid, starttime, endtime,
        {known_infusions} AS known, {stands_in_infusions} AS stood_in,
        coalesce(statusdescription, '') = 'Rewritten' OR coalesce(amount, 0) <= 0 AS void
    FROM inputevents
),
intervals AS (
    SELECT
        w.episode_id,
        CAST(floor(date_diff('second', w.start, s.starttime) / 60) AS INTEGER) AS minute,
        CASE
            WHEN s.endtime < w.cut
            THEN CAST(floor(date_diff('second', w.start, s.endtime) / 60) AS INTEGER)
        END AS end_minute,
        i.kind, i.signal, CAST(NULL AS DOUBLE) AS value, s.stood_in, FALSE AS outside
    FROM started AS s JOIN windows AS w USING (hadm_id) JOIN items AS i USING (itemid)
    WHERE s.starttime >= w.observed_from AND s.starttime < w.cut AND s.known < w.cut
        AND NOT (s.void AND coalesce(s.endtime < w.cut, FALSE))
)
-- By episodes, so that they can be read one after the other; duplicates are left to the reader.
SELECT episode_id, minute, end_minute, kind, signal, value, stood_in, outside
FROM (SELECT * FROM points UNION ALL SELECT * FROM intervals)
ORDER BY episode_id
