-- Sends each MR series to stenograde, as a job, once no image of it has come for a while (StableAge).
-- Results come back as other modalities, so that nothing goes round in a circle.
function OnStableSeries(series, tags, metadata)
  if tags['Modality'] == 'MR' then
    RestApiPost('/modalities/stenograde/store', '{"Resources": ["' .. series .. '"], "Synchronous": false}')
  end
end
