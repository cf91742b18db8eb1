-- Tokens of every episode as Wang et al. 2024 make them, flaws included (wang2024.md 3, 6.3–6.5).
-- Views: episodes, catalogue (signals_published.csv), words (signal, first row in the vocabulary),
-- chartevents, labevents, procedureevents, d_items, d_labitems.
--
-- charttime decides, not storetime; what was seen before admittime is dropped; means, ranges and
-- categories are fitted on all episodes, test included.
-- ASSUME "all data" are the readings of the episodes in their windows.
WITH items AS (
    SELECT c.*, d.itemid FROM catalogue AS c JOIN d_items AS d ON d.label = c.label
    WHERE c.source <> 'labevents' AND d.linksto = c.source
    UNION ALL
    SELECT c.*, d.itemid FROM catalogue AS c JOIN d_labitems AS d ON d.label = c.label
    WHERE c.source = 'labevents' AND d.fluid = 'Blood'
),
-- ASSUME times to the minute, as MIMIC charts; minutes count from the admission.
charted AS (
    SELECT
        e.episode_id, i.signal, i.categories,
        CAST(date_diff('minute', e.start, r.charttime) AS INTEGER) AS minute,
        r.value AS words,
        -- ASSUME numbers of vitals are those of valuenum; the ends of a range are within it.
        CASE WHEN r.valuenum BETWEEN i.low AND i.high THEN r.valuenum END AS value
    FROM chartevents AS r JOIN episodes AS e USING (hadm_id) JOIN items AS i USING (itemid)
    WHERE r.charttime > e.start AND r.charttime <= e.prediction_time
),
-- Scores: their texts in alphabetical order. ASSUME the order of code points, as Python sorts, of
-- the texts that occur; a reading without text is none.
scores AS (
    SELECT
        episode_id, minute, signal,
        dense_rank() OVER (PARTITION BY signal ORDER BY words) - 1 AS number
    FROM charted
    WHERE categories IS NOT NULL AND words IS NOT NULL
),
vitals AS (
    SELECT episode_id, minute, signal, value FROM charted WHERE categories IS NULL
),
-- Rounded: sums of fractions depend on the order in which threads add them.
own_mean AS (
    SELECT episode_id, signal, round(favg(value), 6) AS mean
    FROM vitals WHERE value IS NOT NULL GROUP BY episode_id, signal
),
overall_mean AS (
    SELECT signal, round(favg(value), 6) AS mean
    FROM vitals WHERE value IS NOT NULL GROUP BY signal
),
-- A vital outside its "normal" range is missing, and so is one without a number: it gets the mean
-- of this admission and label, else the label's mean.
-- ASSUME the bin of the mean, not the mean of the bins.
filled AS (
    SELECT v.episode_id, v.minute, v.signal, coalesce(v.value, own.mean, overall.mean) AS value
    FROM vitals AS v
    LEFT JOIN own_mean AS own USING (episode_id, signal)
    LEFT JOIN overall_mean AS overall USING (signal)
),
-- Labs: the number in the column value; other text (___, NEG) is no value, and nothing stands in.
labs AS (
    SELECT
        e.episode_id, i.signal,
        CAST(date_diff('minute', e.start, l.charttime) AS INTEGER) AS minute,
        try_cast(l.value AS DOUBLE) AS value
    FROM labevents AS l JOIN episodes AS e USING (hadm_id) JOIN items AS i USING (itemid)
    WHERE l.charttime > e.start AND l.charttime <= e.prediction_time
),
numbers AS (
    SELECT episode_id, minute, signal, value FROM filled WHERE value IS NOT NULL
    UNION ALL
    SELECT episode_id, minute, signal, value FROM labs WHERE isfinite(value)
),
ranges AS (
    SELECT signal, min(value) AS low, max(value) AS high FROM numbers GROUP BY signal
),
-- 200 bins of equal width from the lowest to the highest value of the label.
-- ASSUME trunc(share · 200), at most 199, as for the time; a label with one value is all in bin 0.
binned AS (
    SELECT
        n.episode_id, n.minute, n.signal,
        CASE
            WHEN r.high > r.low
            THEN least(trunc((n.value - r.low) / (r.high - r.low) * 200), 199)
            ELSE 0
        END AS number
    FROM numbers AS n JOIN ranges AS r USING (signal)
),
points AS (
    SELECT * FROM scores UNION ALL SELECT * FROM binned
),
-- Procedures by their start in the window. Without an end, or one at the start, none ever runs.
procedures AS (
    SELECT
        e.episode_id, i.signal,
        CAST(date_diff('minute', e.start, p.starttime) AS INTEGER) AS minute,
        CAST(date_diff('minute', e.start, p.endtime) AS INTEGER) AS end_minute
    FROM procedureevents AS p JOIN episodes AS e USING (hadm_id) JOIN items AS i USING (itemid)
    WHERE p.starttime > e.start AND p.starttime <= e.prediction_time
),
-- ASSUME the start of a procedure is an event time, too.
steps AS (
    SELECT episode_id, minute FROM points UNION SELECT episode_id, minute FROM procedures
),
running AS (
    SELECT s.episode_id, s.minute, p.signal, 0 AS number
    FROM steps AS s JOIN procedures AS p USING (episode_id)
    WHERE p.minute <= s.minute AND s.minute < p.end_minute
)
-- DISTINCT: each time has a set of tokens.
SELECT DISTINCT t.episode_id, t.minute, w.signal, CAST(w.first_row + t.number AS INTEGER) AS token
FROM (SELECT * FROM points UNION ALL SELECT * FROM running) AS t JOIN words AS w USING (signal)
ORDER BY ALL
