-- Readings, infusions and procedures of a MEDS data set, with the columns that MIMIC-IV has.
-- Views: hits (subject_id, hadm_id, stay_id, charttime, storetime, number, text_value, rest of
-- events and meanings). storetime is null where the data set tells one time alone. Numbers are in
-- the unit of the item. Results of a patient that were drawn at one time are of one specimen: MEDS
-- has no id of it.
CREATE OR REPLACE VIEW chartevents AS
SELECT
    subject_id, hadm_id, stay_id, charttime, storetime, itemid, number AS valuenum,
    coalesce(words, text_value, CAST(number AS VARCHAR)) AS value
FROM hits WHERE source = 'chartevents';

-- Where specimens are events of their own, their time is the one for which the next result of the
-- item is charted. ASSUME results of an item come in the order in which they were drawn.
CREATE OR REPLACE VIEW labevents AS
WITH drawn AS (
    SELECT DISTINCT subject_id, itemid, charttime AS drawn_at
    FROM hits WHERE source = 'labevents' AND event = 'drawn'
),
results AS (
    SELECT
        hits.* REPLACE (
            coalesce(drawn.drawn_at, hits.charttime) AS charttime,
            CASE
                WHEN drawn.drawn_at IS NULL THEN hits.storetime ELSE hits.charttime
            END AS storetime
        )
    FROM hits ASOF LEFT JOIN drawn
        ON drawn.subject_id = hits.subject_id AND drawn.itemid = hits.itemid
        AND drawn.drawn_at <= hits.charttime
    WHERE hits.source = 'labevents' AND hits.event = ''
)
SELECT
    subject_id, hadm_id, CAST(hash(subject_id, charttime) >> 1 AS BIGINT) AS specimen_id, itemid,
    charttime, storetime, number AS valuenum, coalesce(text_value, CAST(number AS VARCHAR)) AS value
FROM results;

CREATE OR REPLACE VIEW outputevents AS
SELECT subject_id, hadm_id, stay_id, charttime, storetime, itemid, number AS value
FROM hits WHERE source = 'outputevents';

-- Starts and ends of an item (and order, where orders are told). An end when nothing runs is of
-- what began before the record: it has no start. ASSUME of several that run what began first ends
-- first; where there are not as many ends as starts, that a start ends before the next one or is
-- open; and that of an end without an amount something was given.
CREATE OR REPLACE TABLE turned AS
WITH numbered AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY source, event, subject_id, itemid, order_id
            ORDER BY charttime, number, unit
        ) AS place,
        count(*) FILTER (WHERE event = 'start') OVER (
            PARTITION BY source, subject_id, itemid, order_id
            ORDER BY charttime RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS begun,
        count(*) FILTER (WHERE event = 'start') OVER (
            PARTITION BY source, subject_id, itemid, order_id
            ORDER BY charttime
            RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
        ) AS begun_before
    FROM hits WHERE event IN ('start', 'end')
),
counted AS (
    SELECT
        *,
        CASE
            WHEN event = 'end' THEN greatest(0, max(place - begun) OVER (
                PARTITION BY source, event, subject_id, itemid, order_id ORDER BY place
            ))
            ELSE 0
        END AS unbegun
    FROM numbered
),
in_order AS (
    SELECT
        *,
        unbegun > coalesce(lag(unbegun) OVER (
            PARTITION BY source, event, subject_id, itemid, order_id ORDER BY place
        ), 0) AS no_start
    FROM counted
),
compared AS (
    SELECT
        *,
        count(*) FILTER (WHERE event = 'start') OVER all_of
        <> count(*) FILTER (WHERE event = 'end' AND NOT no_start) OVER all_of AS uneven
    FROM in_order
    WINDOW all_of AS (PARTITION BY source, subject_id, itemid, order_id)
),
placed AS (
    SELECT
        * EXCLUDE (no_start),
        CASE WHEN uneven AND event = 'end' THEN begun_before ELSE place - unbegun END AS k,
        CASE WHEN uneven AND event = 'end' THEN begun_before = 0 ELSE no_start END AS no_start
    FROM compared
)
SELECT
    * EXCLUDE (no_start),
    no_start OR event = 'end' AND row_number() OVER (
        PARTITION BY source, event, subject_id, itemid, order_id, no_start, k ORDER BY place
    ) > 1 AS no_start
FROM placed;

CREATE OR REPLACE VIEW ran AS
SELECT
    s.subject_id, s.hadm_id, s.stay_id, s.source, s.itemid, s.order_id AS orderid,
    s.charttime AS starttime, e.charttime AS endtime, s.storetime,
    s.number AS rate, s.unit AS rateuom, coalesce(e.number, 1) AS amount, e.unit AS amountuom,
    e.status AS statusdescription
FROM turned AS s LEFT JOIN turned AS e
    ON e.event = 'end' AND NOT e.no_start AND e.source = s.source AND e.subject_id = s.subject_id
    AND e.itemid = s.itemid AND e.order_id IS NOT DISTINCT FROM s.order_id AND e.k = s.k
WHERE s.event = 'start';

-- ASSUME a patient weighs what was told last.
CREATE OR REPLACE VIEW inputevents AS
WITH weights AS (
    SELECT subject_id, time, max(number) AS patientweight
    FROM facts WHERE signal = 'weight' AND number IS NOT NULL AND time IS NOT NULL
    GROUP BY subject_id, time
)
SELECT ran.*, weights.patientweight
FROM ran ASOF LEFT JOIN weights
    ON weights.subject_id = ran.subject_id AND weights.time <= ran.starttime
WHERE ran.source = 'inputevents';

CREATE OR REPLACE VIEW procedureevents AS
SELECT * FROM ran WHERE source = 'procedureevents'
