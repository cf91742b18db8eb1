-- Events of every episode, whatever the task: one row per reading or interval that was KNOWN
-- before the cut (the prediction time, unless the availability rule is switched off): what becomes
-- known at the prediction time itself is not known before it. An ICU stay has those of its
-- admission, also those before the ICU; two stays of one admission share events.
-- Views: episodes, catalogue, chartevents, labevents, outputevents, procedureevents, inputevents,
-- d_items, d_labitems, arterial. Macros: intubated, in_percent, rate_of (signals.py). The field
-- admissions is observed.sql of the room stage; the known_… fields are the time columns of the
-- config's availability table, the stands_in_… fields say that the first of them is null.
-- Minutes are whole minutes from clock zero, rounded down: what is known before hour T has
-- known < 60 T, to the second.
WITH admissions AS (
    {admissions}
),
-- ASSUME of an ICU stay the 24 hours before the patient's arrival tell enough of the time before
-- it, and what still ran in them, since whenever of the admission. (An admission is observed from
-- the emergency department on, at most 24 hours before it.)
windows AS (
    SELECT
        e.episode_id, e.subject_id, e.hadm_id, e.clock_zero, e.{cut} AS cut, a.next_from,
        a.since AS observed_from, greatest(a.since, e.clock_zero - INTERVAL 24 HOUR) AS since
    FROM episodes AS e JOIN admissions AS a USING (subject_id, hadm_id)
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
-- words: a text that is a signal of its own, and no number of the item's other signal. ended: when
-- a reading turns out void. The rate of an infusion is read when the infusion starts or its rate
-- changes: MIMIC has a row for each. A rate of an unknown unit is outside its limits.
readings AS (
    SELECT
        hadm_id, charttime, itemid, in_percent(itemid, valuenum) AS value,
        CASE WHEN intubated(itemid, chartevents.value) THEN 'No Response-ETT' END AS words,
        CAST(NULL AS TIMESTAMP) AS ended,
        {known_vitals} AS known, {stands_in_vitals} AS stood_in
    FROM chartevents
    UNION ALL
    SELECT
        hadm_id, charttime, itemid, value, NULL AS words, NULL AS ended,
        {known_outputs} AS known, {stands_in_outputs} AS stood_in
    FROM outputevents
    UNION ALL
    SELECT
        hadm_id, starttime AS charttime, itemid,
        coalesce(rate_of(itemid, rate, rateuom, patientweight), CAST('NaN' AS DOUBLE)) AS value,
        NULL AS words,
        CASE WHEN statusdescription = 'Rewritten' OR coalesce(amount, 0) <= 0 THEN endtime END
            AS ended,
        {known_infusions} AS known, {stands_in_infusions} AS stood_in
    FROM inputevents
    WHERE rate IS NOT NULL
),
labs AS (
    SELECT
        subject_id, hadm_id, charttime, itemid, in_percent(itemid, valuenum) AS value,
        NULL AS words, CAST(NULL AS TIMESTAMP) AS ended,
        {known_labs} AS known, {stands_in_labs} AS stood_in
    FROM labevents
    WHERE itemid <> 50821 OR specimen_id IN (SELECT specimen_id FROM arterial)
),
-- A lab without hadm_id (drawn in the emergency department) belongs to the one admission whose
-- observation it falls into: the latest that had begun.
charted AS (
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
-- What was known: read in the observation and stored before the cut. Nothing is known before the
-- time that it is charted for.
converted AS (
    SELECT
        c.episode_id, c.clock_zero, i.source, i.itemid, i.kind, i.signal, c.stood_in,
        c.charttime AS begun, greatest(c.charttime, c.known) AS known,
        CASE WHEN c.ended < c.cut THEN c.ended END AS ended,
        CASE
            WHEN i.words IS NOT NULL THEN 1
            ELSE round(c.value * i.scale + i.shift, 4)
        END AS number,
        number NOT BETWEEN i.low AND i.high AS outside
    FROM charted AS c JOIN items AS i
        ON i.itemid = c.itemid AND i.words IS NOT DISTINCT FROM c.words AND i.kind <> 'interval'
    WHERE c.charttime >= c.since AND c.charttime < c.cut AND c.known < c.cut
        AND (c.value IS NOT NULL OR c.words IS NOT NULL)
),
-- Urine of one time is one reading, as in mimic-code's urine_output: what came out in all ways,
-- less what went in for irrigation. What is known of it later replaces what was known before, which
-- is void from then on. A row that the source repeats counts once.
outputs AS (
    SELECT
        episode_id, clock_zero, kind, signal, itemid, begun, number,
        min(known) AS known, bool_and(stood_in) AS stood_in
    FROM converted
    WHERE source = 'outputevents' AND NOT outside
    GROUP BY ALL
),
netted AS (
    SELECT
        episode_id, clock_zero, kind, signal, begun, known, bool_or(stood_in) AS stood_in,
        round(sum(sum(number)) OVER w, 4) AS number, lead(known) OVER w AS ended
    FROM outputs
    GROUP BY episode_id, clock_zero, kind, signal, begun, known
    WINDOW w AS (PARTITION BY episode_id, signal, begun ORDER BY known)
),
-- Values that no living body shows are typing errors: the reader counts and drops them.
points AS (
    SELECT
        episode_id, clock_zero, begun, ended, known, kind, signal, number AS value,
        ended IS NOT NULL AS void, stood_in, outside
    FROM converted
    WHERE source <> 'outputevents' OR outside
    UNION ALL
    SELECT
        episode_id, clock_zero, begun, ended, known, kind, signal, number AS value,
        ended IS NOT NULL AS void, stood_in, FALSE AS outside
    FROM netted
),
-- Infusions, ventilation and lines are known from their start: that they run. When they end, and
-- that they were void (nothing given, or rewritten), is known from their end on: an interval still
-- running at the cut has no end, and is not void yet. One that turned out void before the cut is
-- kept for what is asked at an earlier hour: until its end it runs like any other.
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
        w.episode_id, w.clock_zero, s.starttime AS begun,
        CASE WHEN s.endtime < w.cut THEN s.endtime END AS ended,
        greatest(s.starttime, s.known) AS known, i.kind, i.signal, CAST(NULL AS DOUBLE) AS value,
        s.void AND ended IS NOT NULL AS void, s.stood_in, FALSE AS outside
    FROM started AS s JOIN windows AS w USING (hadm_id) JOIN items AS i USING (itemid)
    WHERE i.kind = 'interval' AND s.starttime >= w.observed_from
        AND s.starttime < w.cut AND s.known < w.cut
        AND (s.starttime >= w.since OR s.endtime IS NULL OR s.endtime > w.since)
)
-- By episodes, so that they can be read one after the other; duplicates are left to the reader.
SELECT
    episode_id,
    CAST(floor(date_diff('second', clock_zero, begun) / 60) AS INTEGER) AS minute,
    CAST(floor(date_diff('second', clock_zero, ended) / 60) AS INTEGER) AS end_minute,
    kind, signal, value, void,
    CAST(floor(date_diff('second', clock_zero, known) / 60) AS INTEGER) AS known,
    stood_in, outside
FROM (SELECT * FROM points UNION ALL SELECT * FROM intervals)
ORDER BY episode_id
