-- Range of each numeric signal over all plausible readings of the training subjects of the SOURCE:
-- a changed cohort refits nothing. Half a percent at each end goes to the outer bins, so that one
-- outlier cannot squeeze all others into one bin. A row that the source has twice is one reading.
-- Views: patients, chartevents, outputevents, labevents, inputevents, d_items, d_labitems,
-- catalogue, arterial. Macros: in_percent, rate_of (signals.py).
WITH subjects AS (
    SELECT subject_id FROM patients WHERE split_of(subject_id) = 'train'
),
items AS (
    SELECT * FROM catalogue WHERE itemid IS NOT NULL
    UNION ALL
    SELECT c.* REPLACE (d.itemid AS itemid) FROM catalogue AS c JOIN d_items AS d USING (label)
    WHERE c.itemid IS NULL AND d.linksto = c.source
    UNION ALL
    SELECT c.* REPLACE (d.itemid AS itemid) FROM catalogue AS c JOIN d_labitems AS d USING (label)
    WHERE c.itemid IS NULL AND c.source = 'labevents' AND d.fluid = 'Blood'
),
readings AS (
    SELECT subject_id, itemid, charttime, in_percent(itemid, valuenum) AS value FROM chartevents
    UNION ALL
    SELECT subject_id, itemid, charttime, value FROM outputevents
    UNION ALL
    SELECT subject_id, itemid, charttime, in_percent(itemid, valuenum) FROM labevents
    WHERE itemid <> 50821 OR specimen_id IN (SELECT specimen_id FROM arterial)
    UNION ALL
    SELECT subject_id, itemid, starttime, rate_of(itemid, rate, rateuom, patientweight)
    FROM inputevents
    WHERE statusdescription IS DISTINCT FROM 'Rewritten' AND amount > 0
),
-- A reading is a value of a patient's signal in a minute, as the events have it. Narrow rows: of a
-- full release some 60 million are held, or spilled, until all that repeat are found.
plausible AS (
    SELECT DISTINCT
        i.signal,
        CAST(r.subject_id AS INTEGER) AS subject_id,
        CAST(epoch_us(r.charttime) // 60000000 AS INTEGER) AS minute,
        CASE WHEN i.source = 'outputevents' THEN i.itemid END AS part,
        round(r.value * i.scale + i.shift, 4) AS value
    FROM readings AS r SEMI JOIN subjects USING (subject_id) JOIN items AS i USING (itemid)
    WHERE i.kind <> 'interval' AND i.categories IS NULL -- scores have categories, not bins
        AND round(r.value * i.scale + i.shift, 4) BETWEEN i.low AND i.high
),
-- Urine of one time is one reading, as the events have it.
netted AS (
    SELECT signal, value FROM plausible WHERE part IS NULL
    UNION ALL
    SELECT signal, sum(value) FROM plausible WHERE part IS NOT NULL
    GROUP BY signal, subject_id, minute
)
SELECT
    CAST(signal AS VARCHAR) AS signal,
    round(quantile_cont(value, 0.005), 4) AS low,
    round(quantile_cont(value, 0.995), 4) AS high,
    count(*) AS readings
FROM netted
GROUP BY netted.signal
ORDER BY 1
