"""The shelf of report sections: without it every new question would mean editing the renderers."""
