-- Items and their variables: with the item's id names are unique; items merged into one variable
-- are converted to its unit. low, high: what a living body can show, in the item's own unit.
-- Views: merged, catalogue (signals.csv), d_items, d_labitems, microbiologyevents.
WITH limits AS (
    SELECT d.itemid, c.low, c.high, c.scale, c.shift
    FROM catalogue AS c JOIN d_items AS d USING (label)
    WHERE d.linksto = c.source AND c.itemid IS NULL AND c.kind <> 'interval' AND c.words IS NULL
    UNION ALL
    SELECT d.itemid, c.low, c.high, c.scale, c.shift
    FROM catalogue AS c JOIN d_labitems AS d USING (label)
    WHERE c.source = 'labevents' AND d.fluid = 'Blood'
),
own_limits AS (
    -- Merged items come first: they are the same variable, whatever their label.
    SELECT
        itemid,
        round(least((low - shift) / scale, (high - shift) / scale), 4) AS low,
        round(greatest((low - shift) / scale, (high - shift) / scale), 4) AS high
    FROM (
        SELECT * FROM limits ANTI JOIN merged USING (itemid)
        UNION ALL BY NAME
        SELECT itemid, low, high, scale, shift FROM merged
    )
),
listed AS (
    SELECT
        CASE linksto
            WHEN 'chartevents' THEN 'chart'
            WHEN 'outputevents' THEN 'output'
            WHEN 'procedureevents' THEN 'procedure'
            WHEN 'inputevents' THEN 'input'
        END AS source,
        itemid, label
    FROM d_items
    -- Laboratory values on the chart are copies of labevents.
    WHERE linksto <> 'chartevents' OR category IS DISTINCT FROM 'Labs'
    UNION ALL
    SELECT 'lab', itemid, label FROM d_labitems
    UNION ALL
    SELECT 'micro', spec_itemid, min(spec_type_desc) FROM microbiologyevents GROUP BY spec_itemid
),
named AS (
    SELECT
        l.source, l.itemid, m.scale, m.shift, o.low, o.high,
        coalesce(m.variable, concat_ws(' ', l.source, l.itemid, nullif(trim(l.label), ''))) AS name
    FROM listed AS l
    LEFT JOIN merged AS m ON m.itemid = l.itemid AND l.source = 'chart'
    LEFT JOIN own_limits AS o ON o.itemid = l.itemid
    WHERE l.source IS NOT NULL
)
SELECT *, CAST(dense_rank() OVER (ORDER BY name) AS INTEGER) AS item FROM named ORDER BY ALL
