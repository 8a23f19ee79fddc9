from tidemill.detection._kernel import advance
