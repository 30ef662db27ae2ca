"""English: normalising text and looking up or predicting ARPAbet phones."""
