// speedup
