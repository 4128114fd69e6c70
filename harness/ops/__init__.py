"""What an operator can ask or order: functions of plain values, whatever face they are called from."""
