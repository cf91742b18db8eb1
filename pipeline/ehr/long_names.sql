-- Items and their variables: with the item's id names are unique; items merged into one variable
-- are converted to its unit. Views: merged, d_items, d_labitems, microbiologyevents.
WITH listed AS (
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
        l.source, l.itemid, m.scale, m.shift,
        coalesce(m.variable, concat_ws(' ', l.source, l.itemid, nullif(trim(l.label), ''))) AS name
    FROM listed AS l LEFT JOIN merged AS m ON m.itemid = l.itemid AND l.source = 'chart'
    WHERE l.source IS NOT NULL
)
SELECT *, CAST(dense_rank() OVER (ORDER BY name) AS INTEGER) AS item FROM named ORDER BY ALL
