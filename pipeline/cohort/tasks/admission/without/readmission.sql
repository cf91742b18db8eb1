-- Sensitivity analysis of task readmission: whom it leaves out.
-- Tables: episodes.
-- Setting: $last_year, the last calendar year of the release. One row per episode; columns as in
-- mortality.sql.

SELECT
    episodes.episode_id,

    -- Dates are shifted, so that the day on which follow-up ends is unknown. It lies in the last
    -- anchor_year_group of the release, three years: left out is every admission that may, too,
    -- one of unknown years among them.
    COALESCE(episodes.last_year > $last_year - 3, TRUE)
        AS "without: admissions that may be of the last three years of the release,
            where follow-up may be cut short"
FROM episodes
