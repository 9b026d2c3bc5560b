"""From labelled images to small models that are proven on the devices they run on."""
