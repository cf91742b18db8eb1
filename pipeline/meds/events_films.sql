-- Films as events: when each was taken, and its id as the text. Views: cxr_metadata.
UNION ALL BY NAME
SELECT
    subject_id, {known_films} AS time, 'FILM//' || coalesce(view_position, 'UNK') AS code,
    dicom_id AS text_value, film_time AS charttime
FROM cxr_metadata
