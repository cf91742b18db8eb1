-- Reports of radiology as events, their text as text_value. Views: radiology.
UNION ALL BY NAME
SELECT
    subject_id, greatest(charttime, {known_notes}) AS time,
    'NOTE//' || coalesce(note_type, 'UNK') AS code, text AS text_value, hadm_id, charttime
FROM radiology
