-- Whose treatment was limited (limits.sql) when the prediction was made, as far as was known before
-- it: the death was then foreseen, or accepted. Of an ICU stay an earlier one of the admission
-- counts, too. One row per episode.
-- Views: at_risk, limits.

SELECT
    at_risk.episode_id,
    COALESCE(limits.limited_from < at_risk.prediction_time, FALSE) AS limited,
    -- a code status was charted by then, of which the text is missing
    NOT limited AND COALESCE(limits.untold_from < at_risk.prediction_time, FALSE) AS untold
FROM at_risk
LEFT JOIN limits USING (hadm_id)
