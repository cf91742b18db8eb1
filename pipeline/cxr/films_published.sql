-- Films of every episode as Wang et al. 2024 select them: taken within the admission and in its
-- first 48 hours; both ends are left out. A film within two overlapping admissions belongs to both.
-- Views: episodes, films (films_views.sql), admissions (admittime, dischtime).
SELECT
    e.episode_id,
    f.dicom_id,
    f.subject_id,
    f.study_id,
    -- ASSUME film times to the minute, as of all else
    CAST(date_diff('minute', e.start, f.film_time) AS INTEGER) AS minute
FROM films AS f
JOIN episodes AS e USING (subject_id)
JOIN admissions AS a USING (hadm_id)
WHERE f.film_time > a.admittime AND f.film_time < a.dischtime AND f.film_time < e.prediction_time
ORDER BY ALL
