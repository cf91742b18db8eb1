-- Range of each numeric signal over all plausible readings of the training subjects of the SOURCE:
-- a changed cohort refits nothing. Half a percent at each end goes to the outer bins, so that one
-- outlier cannot squeeze all others into one bin. A row that the source has twice is one reading.
-- Views: patients, chartevents, outputevents, labevents, d_items, d_labitems, catalogue.
WITH subjects AS (
    SELECT subject_id FROM patients WHERE split_of(subject_id) = 'train'
),
items AS (
    SELECT c.* REPLACE (d.itemid AS itemid) FROM catalogue AS c JOIN d_items AS d USING (label)
    WHERE d.linksto = c.source
    UNION ALL
    SELECT c.* REPLACE (d.itemid AS itemid) FROM catalogue AS c JOIN d_labitems AS d USING (label)
    WHERE c.source = 'labevents' AND d.fluid = 'Blood'
),
readings AS (
    SELECT subject_id, itemid, charttime, valuenum AS value FROM chartevents
    UNION ALL
    SELECT subject_id, itemid, charttime, value FROM outputevents
    UNION ALL
    SELECT subject_id, itemid, charttime, valuenum FROM labevents
),
-- A reading is a value of a patient's signal in a minute, as the events have it. Narrow rows: of a
-- full release some 60 million are held, or spilled, until all that repeat are found.
plausible AS (
    SELECT DISTINCT
        i.signal,
        CAST(r.subject_id AS INTEGER) AS subject_id,
        CAST(epoch_us(r.charttime) // 60000000 AS INTEGER) AS minute,
        round(r.value * i.scale + i.shift, 4) AS value
    FROM readings AS r SEMI JOIN subjects USING (subject_id) JOIN items AS i USING (itemid)
    WHERE i.kind <> 'interval' AND i.categories IS NULL -- scores have categories, not bins
        AND round(r.value * i.scale + i.shift, 4) BETWEEN i.low AND i.high
)
SELECT
    CAST(signal AS VARCHAR) AS signal,
    round(quantile_cont(value, 0.005), 4) AS low,
    round(quantile_cont(value, 0.995), 4) AS high,
    count(*) AS readings
FROM plausible
GROUP BY plausible.signal
ORDER BY 1
