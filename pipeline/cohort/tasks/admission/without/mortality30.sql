-- Sensitivity analysis of task mortality30: whom it leaves out. Who dies in a hospice within the 30
-- days is a positive there, so that discharges to one need none.
-- Views: limited. One row per episode; columns as in mortality.sql.

SELECT
    episode_id,

    limited
        AS "without: comfort measures or DNR charted by the prediction time",

    untold
        AS "count: with a code status charted by then of which the text is missing"
FROM limited
