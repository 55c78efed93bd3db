"""The fourth room: sessions become a dataset that any data tool opens and a GPU can be fed from."""
