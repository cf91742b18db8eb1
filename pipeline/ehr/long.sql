-- Everything known during each episode (admission or ICU stay), in no order: one row per value,
-- with the hours from clock zero (of a stay the patient's arrival) at which it was KNOWN: from then
-- on, before the prediction time and the episode's end. And the last number of each signal that was
-- known before it, with the hours, negative, at which it was measured.
-- Numbers outside the limits of their item have no value: outside, to be counted. GCS verbal of the
-- intubated is a variable of its own (macro intubated, signals.py), whatever number stands with it.
-- Views: episodes, items (long_names.sql), chartevents, outputevents, labevents,
-- microbiologyevents, procedureevents, inputevents. The known_… and stands_in_… fields come from
-- the config's availability table, the field admissions is observed.sql of the room stage; as_text
-- writes a number. The field stay is the stay's id, null of admissions, the field of_unit the
-- columns that one unit alone has. $episodes: how many make a chunk.
-- A variable is an item's number and a text that goes behind its name, which is added at the end.
-- One part at a time, each a stream; a value may be null. (No filter on computed texts: DuckDB
-- 2.0.0 fails on those of millions of rows, "dict-surviving cache".)
WITH admissions AS (
    {admissions}
),
windows AS (
    SELECT
        *, clock_zero AS zero, least(prediction_time, "end") AS stop, {stay} AS stay,
        (row_number() OVER (ORDER BY episode_id) - 1) // $episodes AS chunk
    FROM episodes JOIN admissions USING (subject_id, hadm_id)
),
-- All of the admission; `here`: of the episode, of a stay what is its own and in it.
charted AS (
    SELECT
        w.chunk, w.episode_id, w.zero, w.stop, r.* EXCLUDE (hadm_id, stay_id),
        w.stay IS NULL OR coalesce(r.stay_id, w.stay) = w.stay AND r.charttime >= w.start AS here
    FROM (
        SELECT
            'chart' AS source, hadm_id, stay_id, itemid, charttime,
            in_percent(itemid, valuenum) AS valuenum, value,
            {known_vitals} AS known, {stands_in_vitals} AS stood_in
        FROM chartevents
        UNION ALL
        SELECT
            'output', hadm_id, stay_id, itemid, charttime, value, NULL,
            {known_outputs}, {stands_in_outputs}
        FROM outputevents
    ) AS r
    JOIN windows AS w ON w.hadm_id = r.hadm_id AND r.charttime >= w.since
),
-- ASSUME: that a specimen was taken is known when it is taken, like a procedure; where the hour is
-- not recorded, at the end of that day. What grew in it, known days later, is not used.
specimens AS (
    SELECT *, coalesce(charttime, chartdate + INTERVAL 1 DAY) AS taken FROM microbiologyevents
),
-- Drawn in the episode, or before it in the same admission. Without hadm_id (emergency
-- department): of the one admission in whose observation it was drawn, the latest that had begun.
-- ASSUME admissions without an episode take no row from another.
drawn AS (
    SELECT w.chunk, w.episode_id, w.zero, w.stop, r.* EXCLUDE (subject_id, hadm_id), TRUE AS here
    FROM (
        SELECT
            'lab' AS source, subject_id, hadm_id, itemid, charttime,
            in_percent(itemid, valuenum) AS valuenum, value,
            {known_labs} AS known, {stands_in_labs} AS stood_in
        FROM labevents
        UNION ALL
        SELECT 'micro', subject_id, hadm_id, spec_itemid, taken, NULL, 'taken', taken, FALSE
        FROM specimens
    ) AS r
    JOIN windows AS w
        ON w.subject_id = r.subject_id
        AND coalesce(r.hadm_id, w.hadm_id) = w.hadm_id
        AND (r.hadm_id IS NOT NULL OR w.next_from IS NULL OR r.charttime < w.next_from)
        AND r.charttime >= w.since
),
-- ASSUME: nothing is known before the time that it is charted for, though many outputs are stored
-- earlier. Merged variables are numbers only.
noted AS (
    SELECT
        r.chunk, r.source, r.stood_in, r.episode_id, r.zero, r.here, r.charttime AS begun,
        CASE WHEN r.known IS NOT NULL THEN greatest(r.charttime, r.known) END AS moment,
        i.item, CASE WHEN intubated(r.itemid, r.value) THEN ' intubated' ELSE '' END AS aspect,
        CASE
            WHEN intubated(r.itemid, r.value) THEN NULL
            WHEN i.scale IS NOT NULL THEN round(r.valuenum * i.scale + i.shift, 4)
            ELSE r.valuenum
        END AS converted,
        CASE
            WHEN r.valuenum NOT BETWEEN i.low AND i.high THEN converted
        END AS outside,
        CASE WHEN outside IS NULL THEN converted END AS number,
        CASE
            WHEN outside IS NOT NULL THEN NULL
            WHEN intubated(r.itemid, r.value) THEN trim(r.value)
            WHEN i.scale IS NOT NULL THEN as_text(number)
            ELSE coalesce(as_text(number), nullif(nullif(trim(r.value), ''), '___'))
        END AS value
    FROM (FROM charted UNION ALL FROM drawn) AS r JOIN items AS i USING (source, itemid)
    WHERE moment < r.stop
),
-- With what was outside the limits before the arrival, which counts but is no value.
readings AS (FROM noted WHERE here AND moment >= zero OR outside IS NOT NULL AND moment < zero),
-- Infusions, ventilation, lines: that one runs is known from its start, and its rate and route;
-- its amount, or that it was void (nothing given, or rewritten), at its end.
running AS (
    SELECT
        'procedure' AS source, hadm_id, stay_id, itemid, starttime, endtime, '' AS aspect,
        'runs' AS state, NULL AS rate, NULL AS rateuom, NULL AS amount, NULL AS amountuom,
        {known_procedures} AS known, {stands_in_procedures} AS stood_in,
        CAST(NULL AS DOUBLE) AS outside
    FROM procedureevents
    UNION ALL
    SELECT
        'input', hadm_id, stay_id, itemid, starttime, endtime, ' route',
        coalesce(nullif(trim(ordercategoryname), ''), 'runs'), rate, rateuom,
        CASE WHEN amount > 0 AND statusdescription IS DISTINCT FROM 'Rewritten' THEN amount END,
        amountuom, {known_infusions}, {stands_in_infusions}, NULL
    FROM inputevents
),
-- An item's units differ between rows: they are part of the name. What began before the arrival, in
-- the same admission, runs on after it (`here`), unless it ended before.
intervals AS NOT MATERIALIZED (
    SELECT
        w.chunk, w.episode_id, w.zero, w.stop, i.item,
        r.* EXCLUDE (itemid, hadm_id, stay_id),
        greatest(r.starttime, r.known) AS begun, greatest(begun, w.zero) AS entered,
        entered < w.stop
        AND (r.starttime >= w.zero OR r.endtime IS NULL OR r.endtime >= w.zero) AS here
    FROM running AS r
    JOIN windows AS w
        ON w.hadm_id = r.hadm_id
        AND (w.stay IS NULL OR coalesce(r.stay_id, w.stay) = w.stay OR r.starttime < w.zero)
        AND r.starttime >= w.since
    JOIN items AS i USING (source, itemid)
    WHERE r.known IS NOT NULL AND greatest(r.starttime, r.known) < w.stop
),
-- ASSUME: void rows run like others until they end, for until then nothing told them apart.
-- A row where the interval enters the hours and one at each full hour at which it had not ended: so
-- what stands in an hour is known in that hour, whatever becomes of the interval.
marks AS NOT MATERIALIZED (
    SELECT
        *,
        unnest(
            CASE WHEN begun >= zero OR coalesce(endtime > zero, TRUE) THEN [entered] ELSE [] END
            || range(
                zero + to_hours(date_diff('microsecond', zero, entered) // 3600000000 + 1),
                least(endtime, stop),
                INTERVAL 1 HOUR
            )
        ) AS moment
    FROM intervals
    WHERE here
),
states AS (
    SELECT * EXCLUDE (begun), CAST(NULL AS TIMESTAMP) AS begun, state AS value FROM marks
),
rates AS (
    SELECT
        * EXCLUDE (aspect), concat_ws(' ', ' rate', rateuom) AS aspect, as_text(rate) AS value
    FROM marks
    WHERE rate IS NOT NULL
),
amounts AS (
    SELECT
        * EXCLUDE (aspect), concat_ws(' ', ' amount', amountuom) AS aspect,
        as_text(amount) AS value, greatest(endtime, entered) AS moment
    FROM intervals
    WHERE here AND endtime IS NOT NULL AND amount IS NOT NULL AND moment < stop
),
-- What was known before the arrival, in this admission: before the ICU, in another stay, or with
-- the bed assigned. An infusion's rate counts from its start, unless it has turned out void by now;
-- its amount from its end. measured: from when its age counts, however long it took to be stored.
past AS (
    SELECT
        chunk, stood_in, episode_id, zero, item, aspect, number, moment, begun, begun AS measured
    FROM noted
    WHERE begun < zero AND moment < zero AND isfinite(number) -- begun: so that few rows are joined
    UNION ALL
    SELECT
        chunk, stood_in, episode_id, zero, item, concat_ws(' ', ' rate', rateuom), rate,
        begun, begun, starttime
    FROM intervals
    WHERE begun < zero AND isfinite(rate) AND (here OR amount IS NOT NULL)
    UNION ALL
    SELECT
        chunk, stood_in, episode_id, zero, item, concat_ws(' ', ' amount', amountuom),
        amount, greatest(endtime, begun) AS ended, begun, greatest(starttime, endtime)
    FROM intervals
    WHERE isfinite(amount) AND endtime IS NOT NULL AND ended < zero
),
-- The last number of each signal, however long ago: of two that became known at one time the later
-- charted. Its hours are those since it was measured.
earlier AS (
    SELECT
        * EXCLUDE (last), 'before the arrival' AS source, last.stood_in AS stood_in,
        last.measured AS moment, last.begun AS begun, as_text(last.number) AS value,
        CAST(NULL AS DOUBLE) AS outside
    FROM (
        SELECT
            chunk, episode_id, zero, item, aspect,
            max({{
                moment: moment, begun: begun, number: number, measured: measured,
                stood_in: stood_in
            }}) AS last
        FROM past
        GROUP BY chunk, episode_id, zero, item, aspect
    )
),
-- ASSUME: all of these are registered on admission (the unit: on entering it), and not corrected.
columns AS (
    UNPIVOT (
        SELECT
            chunk, episode_id, zero, CAST(age AS VARCHAR) AS age, sex,
            admission_type, admission_location, insurance, language, marital_status, race
            {of_unit}
        FROM windows
    ) ON COLUMNS(* EXCLUDE (chunk, episode_id, zero)) INTO NAME aspect VALUE value
),
registered AS (
    SELECT
        *, 'registered' AS source, FALSE AS stood_in, CAST(NULL AS DOUBLE) AS outside,
        CAST(NULL AS INTEGER) AS item,
        CAST(NULL AS TIMESTAMP) AS begun, zero AS moment
    FROM columns
    WHERE trim(value) NOT IN ('', '___')
)
SELECT
    chunk, source, stood_in, outside, episode_id, item, aspect, value, begun,
    CASE
        WHEN source <> 'registered' THEN round(date_diff('microsecond', zero, moment) / 3.6e9, 6)
    END AS hours
FROM {part}
