"""The registers of the office: one workbook people read and edit, and the way back."""
